"""Published statements, judged on films whose truth is known, and against controls.

Each statement is turned into one number a film (an *effect*) that is above zero where the statement
holds.  Its interval over films decides: above zero it is reproduced, below zero it is not, around
zero it is not decided.  Statements about a policy's choice of sites are asked of controls, too: a
policy that never looks at its curves cannot have found anything in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from grainscout.analysis.statistics import Difference, paired_difference
from grainscout.records import DataError

Outcome = Literal["reproduced", "also true of the control", "not reproduced", "not decided"]

#: Tasks with this tag are what the statements are judged on.
TAG = "published"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Answer of the films to one statement in one case."""

    statement: str
    source: str  #: Publication
    case: str  #: Films, target or light
    outcome: Outcome  #: See the module
    measure: str  #: Meaning of the effect
    effect: Difference  #: Mean over films with its interval
    controls: Mapping[str, Difference]  #: The same of each control
    note: str = ""

    def row(self) -> list[str]:
        """Statement, case, verdict, effect, controls: for a table."""
        controls = "; ".join(f"{name} {_number(d)}" for name, d in self.controls.items())
        return [
            f"{self.statement} ({self.source})",
            self.case,
            self.outcome,
            f"{self.measure}: {_number(self.effect)}" + (f". {self.note}" if self.note else ""),
            controls or "-",
        ]


def judge(
    statement: str,
    source: str,
    case: str,
    measure: str,
    effect: ArrayLike,
    *,
    task: Sequence[str],
    controls: Mapping[str, ArrayLike] | None = None,
    note: str = "",
) -> Finding:
    """The finding of effects (n,) that are above zero where the statement holds.

    `task` is the stratum of each film. `controls` are the same effects on the same films by policies
    that do not look at their curves. "also true of the control" if the statement holds of the policy
    and of at least one control that it is not decidedly above. DataError if there is no film.
    """
    values, strata = np.asarray(effect, np.float64), np.asarray(task)
    if values.size == 0:
        raise DataError(f"statement {statement!r} must have at least one film; got none")
    nothing = np.zeros_like(values)
    found = paired_difference(values, nothing, task=strata)
    others = {
        name: paired_difference(np.asarray(v, np.float64), nothing, task=strata)
        for name, v in (controls or {}).items()
    }
    outcome: Outcome = "not decided"
    if found.low > 0:
        outcome = "reproduced"
        for name, other in others.items():
            margin = paired_difference(values, np.asarray((controls or {})[name]), task=strata)
            if other.low > 0 and not margin.low > 0:
                outcome = "also true of the control"
    elif found.high <= 0:
        outcome = "not reproduced"
    return Finding(
        statement=statement,
        source=source,
        case=case,
        outcome=outcome,
        measure=measure,
        effect=found,
        controls=others,
        note=note,
    )


def markdown(findings: Sequence[Finding]) -> str:
    """The findings as a table in Markdown, statement by statement."""
    lines = [
        "| statement | case | verdict | effect, 95 % interval | controls |",
        "|---|---|---|---|---|",
    ]
    last = ""
    for finding in findings:
        cells = finding.row()
        cells[0], last = ("" if cells[0] == last else cells[0]), cells[0]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(d: Difference) -> str:
    if d.low == d.high:
        return f"{d.estimate:+.2f}"
    return f"{d.estimate:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"
