"""Command ``grainscout list``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

from rich.table import Table
from typer import Argument, Option

from grainscout.cli.console import console
from grainscout.records import ConfigError
from grainscout.records.registry import closest


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
) -> None:
    """List the names that experiments and campaigns can use."""
    if what is not None and what not in LISTS:
        raise ConfigError(
            f"list must be one of {', '.join(LISTS)}; got {what!r}{closest(what, LISTS)}"
        )
    if tag and what not in (None, "tasks"):
        raise ConfigError(f"--tag selects tasks, not {what}")
    for name in ["tasks"] if tag else [what] if what else LISTS:
        table = _tasks(tag) if tag else LISTS[name]()
        table.title, table.title_justify = name, "left"
        console.print(table)
        console.print()


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for row in rows:
        table.add_row(*row)
    return table


def _tasks(tags: list[str] | None = None) -> Table:
    """Table of tasks with budget, difficulty and tags."""
    from grainscout.benchmarks import difficulties, tasks, tasks_with

    measured = difficulties()
    table = Table(box=None)
    table.add_column("id", no_wrap=True, style="bold")
    for head in ("budget", "left by random", "tags"):
        table.add_column(head)
    for task in tasks_with(tags) if tags else tasks().values():
        left = measured.get(task.id)
        hard = [f"{goal} {left[goal]:.2f}" for goal in task.goals] if left else ["not measured"]
        table.add_row(task.id, task.limits(), ", ".join(hard), " ".join(task.tags))
    return table


def _policies() -> Table:
    from grainscout.policies import policy_class, policy_names

    def first_line(name: str) -> str:
        return (policy_class(name).__doc__ or "").strip().splitlines()[0]

    return _table((name, _or_error(first_line, name)) for name in policy_names())


def _films() -> Table:
    from grainscout.simulator import PRESETS

    return _table(
        (name, f"{spec.rows} x {spec.columns} pixels of {spec.row_nm:g} nm")
        for name, spec in PRESETS.items()
    )


def _instruments() -> Table:
    from grainscout.simulator.instrument import FAULT_LADDERS, INSTRUMENTS

    named = {**INSTRUMENTS, **FAULT_LADDERS}
    return _table((name, ", ".join(spec.tags) or "no fault") for name, spec in named.items())


def _microscopes() -> Table:
    from grainscout.hardware import microscope_names

    return _table((name, "") for name in microscope_names())


def _descriptors() -> Table:
    from grainscout.analysis.curves.descriptors import DESCRIPTORS

    return _table((d.name, f"[{d.unit}] {d.meaning.splitlines()[0]}") for d in DESCRIPTORS.values())


def _campaigns() -> Table:
    from grainscout.config import builtin_campaigns, load_campaign

    def description(name: str) -> str:
        return load_campaign(name).description

    return _table((name, _or_error(description, name)) for name in builtin_campaigns())


def _or_error(describe: Callable[[str], str], name: str) -> str:
    """Describe a name, or give the error."""
    try:
        return describe(name)
    except ConfigError as error:
        return str(error)


LISTS: dict[str, Callable[[], Table]] = {
    "policies": _policies,
    "films": _films,
    "instruments": _instruments,
    "microscopes": _microscopes,
    "descriptors": _descriptors,
    "tasks": _tasks,
    "campaigns": _campaigns,
}
