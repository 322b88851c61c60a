"""What made a cell: a digest of the sources, weights and files that its numbers depend on."""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grainscout.benchmarks.tasks.referee import REFEREE
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.policies import policy_class
from grainscout.policies.registry import BUILTIN

#: What runs and scores a cell, whichever policy it is of. Strategies count where they are used.
_ROOMS = (
    *(
        "records",
        "microstructure",
        "simulator",
        "analysis.curves",
        "experiment",
        "benchmarks.tasks",
    ),
    *("hardware", "policies", "policies.models", "policies.parts"),
)
_FILES = (
    ("analysis", "metrics.py"),
    ("analysis", "map_scores.py"),
    ("analysis", "diversity.py"),
    ("benchmarks.campaign", "cell.py"),
    ("benchmarks.campaign", "twins.py"),
    ("policies.strategies", "random.py"),  # whose run every cell is held against
)
_DEEP = ("records", "microstructure", "simulator", "analysis.curves", "policies.models")
_ENDINGS = (".py", ".npz", ".npy", ".pt", ".csv", ".json")


def made_by(task: Task, policy: PolicySpec) -> str:
    """Digest of the sources and files that make a cell; a third party's policy counts by its package."""
    digest = hashlib.sha256(_rooms())
    for name in (REFEREE[0], policy.name):
        digest.update(_sources(module_of(name)))
    own = task.target.rpartition(":")[0]
    if own and not Path(own).is_file():
        digest.update(_sources(own))
    of_sample = [str(v) for v in vars(task.microscope).values() if isinstance(v, Path)]
    if of_sample:
        digest.update(_digest(_folder("analysis.formats").rglob("*")))
    texts = [own, *of_sample, *_texts(policy.options)]
    for path in sorted({p for t in texts if t and (p := Path(t)).is_file()}):
        digest.update(path.read_bytes())
    digest.update(json.dumps([policy.options, policy.twin], default=str, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def module_of(policy: str) -> str:
    """Module that holds a policy: of a recipe, which is an instance, the one that names it."""
    if policy in BUILTIN:
        return BUILTIN[policy].partition(":")[0]
    made: Any = policy_class(policy)
    return str(getattr(made, "__module__", ""))


@lru_cache(maxsize=1)
def _rooms() -> bytes:
    paths = [_folder(room) / name for room, name in _FILES]
    for room in _ROOMS:
        paths += _folder(room).rglob("*") if room in _DEEP else _folder(room).glob("*")
    return _digest([p for p in paths if p.name != "difficulty.json"])


def _folder(room: str) -> Path:
    return Path(str(files(f"grainscout.{room}")))


def _sources(module: str) -> bytes:
    """A strategy and the strategies that it names; of a third party its package, or its module."""
    if module.startswith("grainscout."):
        waiting, found = [module], set[str]()
        while waiting:
            found.add(name := waiting.pop())
            path = _path(name)
            text = "" if path is None else path.read_text("utf-8")
            named = re.findall(r"grainscout\.policies\.(?:strategies|peers)\.\w+", text)
            waiting += [n for n in named if n not in found]
        return _digest(p for n in found if (p := _path(n)) is not None)
    top = _path(module.partition(".")[0])
    if top is None:
        return b""
    return _digest(top.parent.rglob("*") if top.stem == "__init__" else [top])


@lru_cache(maxsize=256)
def _path(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    path = None if spec is None or spec.origin is None else Path(spec.origin)
    return path if path is not None and path.is_file() else None


def _digest(paths: Iterator[Path] | list[Path]) -> bytes:
    """Of names and contents: a checkout and an installed package keep their folders in other orders."""
    some = (p for p in paths if p.suffix in _ENDINGS and p.is_file())
    digest = hashlib.sha256()
    for whole in sorted(p.name.encode() + p.read_bytes() for p in some):
        digest.update(whole)
    return digest.digest()


def _texts(value: Any) -> list[str]:
    """Texts in options, however deep: a file may be among them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [text for part in value for text in _texts(part)]
    return [str(value)] if isinstance(value, (str, Path)) else []
