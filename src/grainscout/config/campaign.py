"""The configuration of a campaign."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from grainscout.benchmarks import Campaign, find_task, tasks_with
from grainscout.benchmarks.tasks.recordings import recorded_tasks, recordings_folder
from grainscout.benchmarks.tasks.task import Task, plain
from grainscout.config.run import absolute
from grainscout.config.toml import parse, read_toml
from grainscout.policies import make_policy
from grainscout.records import ConfigError, closest

_BUDGET = {"curves", "seconds", "wear"}


def builtin_campaigns() -> dict[str, Path]:
    """Names and files of the campaigns that come with Grainscout."""
    folder = Path(str(files("grainscout.benchmarks.campaign") / "builtin"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_campaign(name: str) -> Campaign:
    """A campaign by name, or from a TOML file.

    The file has ``[[task]]`` and ``[[policy]]`` tables; a ``[defaults]`` table holds what the tasks
    that it writes out share.  Registered tasks come in as they are, by ``tasks = [id, ...]`` and
    ``tasks_by_tag = [tag, "tag+tag", ...]``; ``[recordings]`` makes tasks of a folder's grids of curves; a ``[[task]]`` with ``like = id`` and an id of its own is one
    with changes.  ``controls = true`` adds the twins of every policy that learns.  Paths are relative to the file's folder.
    """
    known = builtin_campaigns()
    path = known.get(name, Path(name))
    if not path.suffix and name not in known:
        raise ConfigError(
            f"campaign must be a TOML file or one of {', '.join(known)}; got {name!r}{closest(name, known)}"
        )
    table = absolute(read_toml(path), path.parent)
    defaults = table.pop("defaults", {})
    written = [_written(defaults, task, path) for task in _tables(table, "task", path)]
    named = [find_task(id_) for id_ in _names(table, "tasks", path)]
    tagged = tasks_with(_names(table, "tasks_by_tag", path))
    chosen = {task.id: plain(task) for task in (*named, *tagged)}
    found = _recorded(table, path)
    table["tasks"] = [*chosen.values(), *written, *(plain(task) for task in found)]
    table["policies"] = _tables(table, "policy", path)
    controls = table.pop("controls", False)
    campaign = parse(Campaign, table, str(path))
    if controls is not False and controls is not True:
        raise ConfigError(f"{path}: controls must be true or false; got {controls!r}")
    campaign = campaign.with_controls() if controls else campaign
    for task in campaign.tasks:
        if task.microscope.needs_file:
            raise ConfigError(
                f'{path}: task {task.id!r} needs a file of yours: write [[task]] with like = "{task.id}", '
                'an id of its own and microscope = { file = "..." }'
            )
    for policy in campaign.policies:
        make_policy(policy.name, policy.options)
    return campaign


def _written(defaults: dict[str, Any], task: dict[str, Any], path: Path) -> dict[str, Any]:
    """A task that the file writes out: on the defaults, and on the registered one that it is like."""
    like = task.pop("like", None)
    if like is None:
        return _merged(defaults, task)
    if not isinstance(like, str) or task.get("id", like) == like:
        raise ConfigError(
            f"{path}: a [[task]] with like = {like!r} must have an id of its own: scores under one id are "
            "of one task. As it is, it is named in tasks = [...]"
        )
    base = plain(find_task(like))
    if _BUDGET & {*defaults, *task}:  # another budget, not a further limit
        base = {key: value for key, value in base.items() if key not in _BUDGET}
    return _merged(_merged(base, defaults), task)


def _recorded(table: dict[str, Any], path: Path) -> tuple[Task, ...]:
    """Tasks on the recordings that a table ``[recordings]`` asks for. What is left out is described."""
    asked = table.pop("recordings", None)
    if asked is None:
        return ()
    if not isinstance(asked, dict) or not asked.keys() <= {"folder", "targets", "curves"}:
        raise ConfigError(
            f"{path}: recordings must be a table of folder, targets and curves; got {asked!r}"
        )
    given = str(asked.get("folder", ""))
    folder = recordings_folder(str(path.parent / given) if given else "")
    made = recorded_tasks(folder, asked.get("targets", ["max_current"]), asked.get("curves", 60))
    if not made.tasks:
        raise ConfigError(f"{path}: recordings must hold a grid of curves; none is in {folder}")
    left = "; ".join(f"{name}: {why}" for name, why in made.left_out.items())
    table["description"] = (
        f"{table.get('description', '')} (left out: {left})"
        if left
        else (table.get("description", ""))
    )
    return made.tasks


def _names(table: dict[str, Any], key: str, path: Path) -> list[str]:
    found = table.pop(key, [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ConfigError(f"{path}: {key} must be a list of texts; got {found!r}")
    return found


def _tables(table: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    found = table.pop(key, [])
    if not isinstance(found, list) or not all(isinstance(t, dict) for t in found):
        raise ConfigError(f"{path}: {key} must be tables headed [[{key}]]; got {found!r}")
    return found


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = value
        if isinstance(value, dict) and isinstance(below, dict):
            kind = below.get("kind")
            # Settings of another kind of waveform mean nothing to this one.
            if key != "waveform" or value.get("kind", kind) == kind:
                merged[key] = _merged(below, value)
    return merged
