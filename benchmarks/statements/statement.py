"""Published statements, judged on films whose truth is known, and against controls.

Each statement is turned into one number a film (an *effect*) that is above zero where the statement
holds.  Its interval over films decides: above zero it is reproduced, below zero it is not, around
zero it is not decided.  What the simulator's settings or plain arithmetic make true is *built in*, no finding.
Statements about a policy's choice of sites are asked of controls, too: a policy that never looks at its curves,
or is told those of other sites, cannot have found anything in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from grainscout.analysis.statistics import Difference, judge_family, paired_difference
from grainscout.records import DataError

Outcome = Literal[
    "reproduced", "built in", "also true of the control", "not reproduced", "not decided"
]

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
    margins: Mapping[str, Difference] = field(default_factory=dict)  #: Effect less each control's
    note: str = ""
    built_in: bool = False  #: True if a setting of the simulator, or arithmetic, makes it so

    def row(self) -> list[str]:
        """Statement, case, verdict, effect, controls: for a table."""
        controls = "; ".join(
            f"{name} {_number(d)} (less it {_number(self.margins[name])})"
            for name, d in self.controls.items()
        )
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
    built_in: bool = False,
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
    margins = {
        name: paired_difference(values, np.asarray(v, np.float64), task=strata)
        for name, v in (controls or {}).items()
    }
    return Finding(
        statement=statement,
        source=source,
        case=case,
        outcome=_outcome(found, others, margins, built_in),
        measure=measure,
        effect=found,
        controls=others,
        margins=margins,
        note=note,
        built_in=built_in,
    )


def _outcome(
    effect: Difference,
    controls: Mapping[str, Difference],
    margins: Mapping[str, Difference],
    built_in: bool,
) -> Outcome:
    if effect.low > 0 and built_in:
        return "built in"
    if effect.low > 0:
        also = any(d.low > 0 and not margins[name].low > 0 for name, d in controls.items())
        return "also true of the control" if also else "reproduced"
    return "not reproduced" if effect.high <= 0 else "not decided"


def one_family(findings: Sequence[Finding]) -> list[Finding]:
    """The findings of a page judged together (Holm): all intervals of one have its step's level."""
    judged = judge_family([(f.statement, f.case, f.effect) for f in findings])
    adjusted = []
    for f, verdict in zip(findings, judged, strict=True):
        level = verdict.difference.level
        controls, margins = (
            {k: d.at(level) for k, d in some.items()} for some in (f.controls, f.margins)
        )
        outcome = _outcome(verdict.difference, controls, margins, f.built_in)
        adjusted.append(
            replace(
                f, outcome=outcome, effect=verdict.difference, controls=controls, margins=margins
            )
        )
    return adjusted


def markdown(findings: Sequence[Finding]) -> str:
    """The findings as a table in Markdown, statement by statement."""
    lines = [
        "| statement | case | verdict | effect, adjusted interval | controls |",
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
