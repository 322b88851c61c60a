"""What a journal is made of, as plain records."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from grainscout.records import Outcome, Problem, Proposal

_PACKAGES = ("grainscout", "numpy", "scipy", "torch", "gpytorch", "scikit-image")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Header:
    """What a run is: its problem, its resolved configuration, its seed and the versions.

    config : plain JSON values; two headers with equal config, seed and problem are one experiment.
    """

    problem: Problem
    config: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str] = field(default_factory=package_versions)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The proposals of one ask, and the outcomes recorded for them so far.

    decision_s : seconds that the policy took to decide.
    """

    number: int
    proposals: Sequence[Proposal]
    outcomes: Sequence[Outcome]
    decision_s: float

    @property
    def complete(self) -> bool:
        """Whether each proposal has its outcome; then all of them are told."""
        return {p.id for p in self.proposals} <= {o.proposal_id for o in self.outcomes}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something worth knowing later: a start, a fault, an interruption, the end."""

    clock_s: float
    wall: str
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person asks of a running experiment; see ``experiment.REQUESTS``."""

    number: int
    kind: str
    detail: Mapping[str, Any]
