"""Command ``grainscout list``."""

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from rich.table import Table
from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.records import ConfigError, one_of

#: A name, what it is for, and what only ``--json`` tells.
Row = tuple[str, str, dict[str, Any]]

#: Microscope -> what it is, the package that it needs, and the extra that brings it.
_MICROSCOPES = {
    "aecroscopy": ("Asylum Research through AEcroscopy's COM", "aecroscopywave", "aecroscopy"),
    "aespm": ("Asylum Research through aespm's command files", "aespm", "aespm"),
    "batch": ("a closed program: it gets a list of points, its files are the curves", "", ""),
    "nanonis": ("a Nanonis controller through its TCP interface", "nanonis_spm", "nanonis"),
    "parts": ("a meter, a mover and a lamp put together", "", ""),
    "person": ("somebody who measures and types in, asked on a page", "", ""),
    "replay": ("a recorded grid of curves, measured again", "", ""),
    "simulated": ("a simulated film under an instrument with faults", "", ""),
    "source-meter": ("a Keithley source-meter on another microscope", "pyvisa", "visa"),
}
#: Instruments that are more than one fault.
_INSTRUMENTS = {
    "ideal": "reads the film's own current, without memory or faults",
    "quiet": "a good amplifier and ionic memory, no faults",
    "reference": "quiet with the mild faults of an ordinary night",
    "none": "no fault, as quiet",
    "all-mild": "every fault at once, each mild",
    "all-severe": "every fault at once, each severe",
}


def show(
    what: Annotated[
        str | None,
        Argument(
            help="Only these: policies, films, instruments, microscopes, descriptors, tasks or campaigns."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        Option("--tag", help="Only tasks with this tag, or tag+tag for both. Repeatable."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object, with more.")] = False,
) -> None:
    """List the names that experiments and campaigns can use, and what they are for."""
    if what is not None:
        one_of("list", what, LISTS)
    if tag and what not in (None, "tasks"):
        raise ConfigError(f"--tag selects tasks, not {what}")
    names = ["tasks"] if tag else [what] if what else list(LISTS)
    found = {name: _tasks(tag) if name == "tasks" else LISTS[name]() for name in names}
    if as_json:
        made = {
            name: [{"name": n, "about": about, **more} for n, about, more in rows]
            for name, rows in found.items()
        }
        print(json.dumps(made, indent=2))
        return
    for name, rows in found.items():
        if name != "tasks":
            _print(name, [(n, about) for n, about, _ in rows])
            continue
        alike: dict[str, list[tuple[str, str]]] = {}  # one line a task, also in 80 columns
        for n, about, _ in rows:
            wanted, _, sample = about.rpartition(": ")
            alike.setdefault(wanted, []).append((n, sample))
        for wanted, tasks in alike.items():
            _print(f"tasks to {wanted}", tasks)


def _print(title: str, rows: Sequence[tuple[str, str]]) -> None:
    console.print(title, style="italic")
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True, style="bold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def _tasks(tags: Sequence[str] | None = None) -> Iterator[Row]:
    from grainscout.benchmarks import difficulties, tasks, tasks_with

    measured = difficulties()
    for task in tasks_with(tags) if tags else tasks().values():
        left = measured.get(task.id)
        yield (
            task.id,
            task.about(),
            {"goals": task.goals, "tags": task.tags, "left_by_random": left},
        )


def _policies() -> Iterator[Row]:
    from grainscout.policies import policy_class, policy_names
    from grainscout.policies.registry import BUILTIN, PEERS

    def first_line(name: str) -> str:
        doc = documented(BUILTIN[name]) if name in BUILTIN else policy_class(name).__doc__
        return re.sub(r":\w+:`([^`]*)`|`", r"\1", (doc or "").strip().partition("\n")[0])

    here = policy_names()
    for name in sorted({*here, *PEERS}):
        if name in here:
            yield name, _or_error(first_line, name), {"installed": True}
        else:
            package = PEERS[name]
            about = _missing(package, "" if package == "atomai" else "peers")
            yield name, about, {"installed": False}


def documented(place: str) -> str:
    """Docstring of ``"module:name"``, read from the source: to import every policy takes a second."""
    module, name = place.split(":")
    spec = find_spec(module)
    tree = (
        ast.parse(Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else None
    )
    for node in tree.body if tree else ():
        match node:
            case ast.ClassDef(name=n) | ast.FunctionDef(name=n) if n == name:
                return ast.get_docstring(node) or ""
            case ast.Assign(
                targets=[ast.Name(id=n)], value=ast.Call(args=[_, ast.Constant(value=str(about))])
            ) if n == name:  # a recipe
                return about
    raise ConfigError(f"{place} has no such class, function or recipe")


def _films() -> Iterator[Row]:
    from grainscout.simulator.presets import ABOUT, PRESETS

    for name, spec in PRESETS.items():
        yield name, ABOUT[name], {"pixels": spec.shape, "pixel_nm": [spec.row_nm, spec.column_nm]}


def _instruments() -> Iterator[Row]:
    from grainscout.simulator.instrument.faults import FAULT_LADDERS, INSTRUMENTS

    for name, spec in {**INSTRUMENTS, **FAULT_LADDERS}.items():
        fault, _, level = name.partition("-")
        part = "amplifier" if fault == "noise" else fault
        pair = [getattr(FAULT_LADDERS.get(f"{fault}-{k}"), part, None) for k in ("mild", "severe")]
        own = getattr(spec, part, None)
        # What differs between the levels is what tells them apart.
        settings = ", ".join(
            f"{k} {v:g}"
            for k, v in (vars(own) if own else {}).items()
            if len({getattr(p, k) for p in pair}) > 1
        )
        about = _INSTRUMENTS.get(name) or f"{level} {fault} alone: {settings}"
        yield name, about, {"faults": spec.tags}


def _microscopes() -> Iterator[Row]:
    from grainscout.hardware.registry import microscope_names

    for name in microscope_names():
        about, package, extra = _MICROSCOPES.get(name, ("of another package", "", ""))
        here = not package or find_spec(package) is not None
        yield name, about if here else f"{about}; {_missing(package, extra)}", {"installed": here}


def _descriptors() -> Iterator[Row]:
    from grainscout.analysis.curves.descriptors import DESCRIPTORS

    for d in DESCRIPTORS.values():
        yield (
            d.name,
            f"[{d.unit}] {d.meaning.splitlines()[0].replace(f' [{d.unit}]', '')}",
            {"unit": d.unit},
        )


def _campaigns() -> Iterator[Row]:
    folder = files("grainscout.benchmarks.campaign") / "builtin"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):  # read as it is: to check it would take a second
            table = tomllib.loads(file.read_text(encoding="utf-8"))
            yield file.name.removesuffix(".toml"), table.get("description", ""), {}


def _missing(package: str, extra: str) -> str:
    brings = f"'grainscout[{extra}]'" if extra else package
    return f"not installed: needs {package}, pip install {brings}"


def _or_error(describe: Callable[[str], str], name: str) -> str:
    """Describe a name, or give the error."""
    try:
        return describe(name)
    except ConfigError as error:
        return str(error)


LISTS: dict[str, Callable[[], Iterator[Row]]] = {
    "policies": _policies,
    "films": _films,
    "instruments": _instruments,
    "microscopes": _microscopes,
    "descriptors": _descriptors,
    "tasks": _tasks,
    "campaigns": _campaigns,
}
