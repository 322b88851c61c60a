"""grainscout list"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from grainscout.cli.console import console
from grainscout.records import ConfigError


class What(StrEnum):
    """What can be listed."""

    policies = "policies"
    films = "films"
    instruments = "instruments"
    microscopes = "microscopes"
    descriptors = "descriptors"
    tasks = "tasks"
    campaigns = "campaigns"


def show(
    what: Annotated[What | None, typer.Argument(help="Only these.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Only tasks with this tag, or tag+tag for both; repeatable."),
    ] = None,
) -> None:
    """List what experiments and campaigns can name."""
    if tag and what not in (None, What.tasks):
        raise ConfigError(f"--tag is of tasks, not of {what}")
    for kind in [What.tasks] if tag else What if what is None else [what]:
        if kind is What.tasks:
            table = _tasks(tag)
        else:
            table = Table(show_header=False, box=None)
            table.add_column(no_wrap=True, style="bold")
            table.add_column()
            for name, about in _entries(kind):
                table.add_row(name, about)
        table.title, table.title_justify = kind.value, "left"
        console.print(table)
        console.print()


def _tasks(tags: list[str] | None) -> Table:
    """Ids with the budget, what random sampling leaves undone of each goal, and the tags."""
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


def _about_policy(name: str) -> str:
    from grainscout.policies import policy_class

    try:
        return _first_line(policy_class(name))
    except ConfigError as error:  # one that is badly installed must not hide the others
        return str(error)


def _entries(kind: What) -> list[tuple[str, str]]:
    if kind is What.policies:
        from grainscout.policies import policy_names

        return [(name, _about_policy(name)) for name in policy_names()]
    if kind is What.films:
        from grainscout.simulator import PRESETS

        return [
            (name, f"{spec.rows} x {spec.columns} pixels of {spec.row_nm:g} nm")
            for name, spec in PRESETS.items()
        ]
    if kind is What.instruments:
        from grainscout.simulator.instrument import FAULT_LADDERS, INSTRUMENTS

        named = {**INSTRUMENTS, **FAULT_LADDERS}
        return [(name, ", ".join(spec.tags) or "no fault") for name, spec in named.items()]
    if kind is What.microscopes:
        from grainscout.hardware import microscope_names

        return [(name, "") for name in microscope_names()]
    if kind is What.descriptors:
        from grainscout.analysis.curves.descriptors import DESCRIPTORS

        return [(d.name, f"[{d.unit}] {d.meaning.splitlines()[0]}") for d in DESCRIPTORS.values()]
    from grainscout.config import builtin_campaigns, load_campaign

    def about(name: str) -> str:
        try:
            return load_campaign(name).description
        except ConfigError as error:  # such as a third party's task that is badly installed
            return str(error)

    return [(name, about(name)) for name in builtin_campaigns()]


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
