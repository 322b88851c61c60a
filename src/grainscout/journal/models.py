"""Records of a journal."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from grainscout.records import Outcome, Problem, Proposal, Quality, spawn_streams
from grainscout.records.streams import POLICY_DEFAULTS, STREAM_VERSION

_PACKAGES = ("grainscout", "numpy", "scipy", "torch", "gpytorch", "scikit-image")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    versions["policy_defaults"] = str(POLICY_DEFAULTS)
    versions["policy_stream"] = str(STREAM_VERSION)
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True, kw_only=True, eq=False)
class Header:
    """Definition of a run.

    Two headers with equal problem, config and seed are of one experiment.
    """

    problem: Problem  #: What the policy knows beforehand
    config: Mapping[str, Any]  #: Resolved configuration, of plain JSON values
    seed: int  #: Seed of all random streams
    #: Versions of the packages
    versions: Mapping[str, str] = field(default_factory=package_versions)
    #: Date and time, ISO 8601
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def policy_rng(self) -> np.random.Generator:
        """A fresh generator for the policy, as the run began with."""
        return spawn_streams(self.seed).policy_rng(int(self.versions.get("policy_stream", 1)))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Proposals of one ask and the outcomes recorded for them so far."""

    number: int  #: Number of the ask, from 0
    proposals: Sequence[Proposal]  #: In the order of asking
    outcomes: Sequence[Outcome]  #: In the order of their commits
    decision_s: float  #: Time that the policy took to decide [s]

    @property
    def complete(self) -> bool:
        """True if each proposal has its outcome. Then the policy knows all of them."""
        return {p.id for p in self.proposals} <= {o.proposal_id for o in self.outcomes}


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event of a run: a start, a fault, an interruption, the end."""

    clock_s: float  #: Time on the experiment's clock [s]
    wall: str  #: Date and time, ISO 8601
    kind: str  #: Name of the event
    detail: Mapping[str, Any]  #: Plain JSON values


#: First words of the reason of a curve that a person took out.
TAKEN_OUT = "taken out by hand"


@dataclass(frozen=True, kw_only=True)
class Retraction:
    """A curve that a person took out again."""

    outcome: int  #: Number of its outcome in the journal, from 0
    reason: str  #: Reason that the person gave
    before: int  #: Batch before which the policy is told

    def applied(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the verdict that its curve must not be used."""
        return replace(outcome, quality=self.verdict(outcome.quality))

    def verdict(self, before: Quality | None) -> Quality:
        """Verdict on the curve, from the one before."""
        known = Quality() if before is None else before
        reason = f"{TAKEN_OUT}: {self.reason}"
        others = tuple(r for r in known.reasons if not r.startswith(TAKEN_OUT))
        return replace(known, usable=False, reasons=(*others, reason), score=0.0)


@dataclass(frozen=True, kw_only=True)
class Request:
    """An operator's request to a running experiment."""

    number: int  #: Number in the journal
    kind: str  #: One of ``experiment.REQUESTS``
    detail: Mapping[str, Any]  #: Plain JSON values
