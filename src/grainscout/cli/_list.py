"""grainscout list"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from grainscout.cli._console import console
from grainscout.records import ConfigError


class What(StrEnum):
    """What can be listed."""

    policies = "policies"
    films = "films"
    instruments = "instruments"
    microscopes = "microscopes"
    descriptors = "descriptors"
    campaigns = "campaigns"


def show(what: Annotated[What | None, typer.Argument(help="Only these.")] = None) -> None:
    """List what experiments and campaigns can name."""
    for kind in What if what is None else (what,):
        table = Table(title=kind.value, title_justify="left", show_header=False, box=None)
        table.add_column(no_wrap=True, style="bold")
        table.add_column()
        for name, about in _entries(kind):
            table.add_row(name, about)
        console.print(table)
        console.print()


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
        from grainscout.analysis.descriptors import DESCRIPTORS

        return [(d.name, f"[{d.unit}] {d.meaning.splitlines()[0]}") for d in DESCRIPTORS.values()]
    from grainscout.config import builtin_campaigns, load_campaign

    return [(name, load_campaign(name).description) for name in builtin_campaigns()]


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
