"""Policies as optimizers of bluesky-adaptive, and its optimizers as policies.

Neither needs Bluesky to be imported: bluesky-adaptive (1.0) takes any object with ``suggest`` and
``ingest``. A point is a mapping with ``"_id"``, ``"row"`` and ``"column"``. A measured one also has
``"voltage"`` [V], ``"current"`` [A], ``"time"`` [s] and ``"saturated"`` (see `curve_point`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from grainscout.analysis.curves.descriptors import describe_curve
from grainscout.records import DataError, IVCurve, Outcome, PolicyError, Problem, Proposal, Site

ID = "_id"
Point = Mapping[str, Any]


class SuggestsAndIngests(Protocol):
    """An optimizer of bluesky-adaptive."""

    def suggest(self, num_points: int | None = None) -> Sequence[Point]:
        """Return points to evaluate next."""

    def ingest(self, points: Sequence[Point]) -> None:
        """Learn from evaluated points."""


def curve_point(name: str | None, site: Site, curve: IVCurve) -> dict[str, Any]:
    """Make the point of a curve for `PolicyOptimizer.ingest`.

    Parameters
    ----------
    name : str or None
        Id of the suggestion, if it was one.
    site : Site
        Where it was measured.
    curve : IVCurve
        The curve.
    """
    point = {"row": int(site[0]), "column": int(site[1])} | {
        k: getattr(curve, k) for k in ("voltage", "current", "time", "saturated")
    }
    return point if name is None else {ID: name, **point}


class PolicyOptimizer:
    """A policy as an optimizer for ``bluesky_adaptive.plans.optimize``.

    It stops the plan when the policy has nothing left to learn. Its best point is the one with the
    largest value of the problem's target. Points without an ``"_id"`` are measurements by hand.

    Parameters
    ----------
    policy : Policy
        With reset, ask and tell.
    problem : Problem
        The policy is reset with it.
    rng : numpy.random.Generator
        Likewise.
    axes : tuple of str
        Names of row and column in a point, hence of the actuators.
    """

    def __init__(
        self,
        policy: Any,
        problem: Problem,
        *,
        rng: np.random.Generator,
        axes: tuple[str, str] = ("row", "column"),
    ) -> None:
        self._policy, self._problem, self._axes = policy, problem, axes
        self._policy.reset(problem, rng=rng)
        self._sites: dict[str, Site] = {}  # suggested and not yet ingested
        self._visits: dict[Site, int] = {}
        self._measured: list[tuple[str | None, Site, float]] = []
        self._done = False

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Suggest up to `num_points` sites (default 1). PolicyError if nothing is left to learn."""
        proposals = self._policy.ask(1 if num_points is None else num_points)
        self._done = not proposals
        if not proposals:
            raise PolicyError("the policy has nothing left to learn; stop the plan (should_stop)")
        self._sites |= {p.id: p.site for p in proposals}
        return [{ID: p.id, **self._point(p.site)} for p in proposals]

    def ingest(self, points: Sequence[Point]) -> None:
        """Tell the policy. DataError for a point without a curve or a known site."""
        outcomes = [self._outcome(point) for point in points]
        for outcome in outcomes:
            self._sites.pop(outcome.proposal_id or "", None)
            self._visits[outcome.site] = outcome.visit + 1
        self._policy.tell(outcomes)

    def register_failures(self, suggestions: Sequence[Point]) -> None:
        """Tell the policy that these suggestions could not be measured."""
        failed = []
        for point in suggestions:
            name = str(point.get(ID))
            if name not in self._sites:
                raise DataError(f"a failed suggestion must have been made here; got {ID} {name!r}")
            failed.append(
                Outcome(
                    site=self._sites.pop(name), status="failed", proposal_id=name, message="Bluesky"
                )
            )
        self._policy.tell(failed)

    def should_stop(self) -> tuple[bool, str | None]:
        """Tell if every candidate has been measured or the last ask gave nothing."""
        done = self._done or len(self._visits) >= len(self._problem.candidates)
        return done, "nothing left to learn" if done else None

    def get_best_points(self) -> list[tuple[Any, Point, Point]]:
        """Return (id, site, value) of the largest target so far. Empty before any curve."""
        if not self._measured:
            return []
        name, site, value = max(self._measured, key=lambda m: m[2])
        return [(name, self._point(site), {self._problem.target: value})]

    def _point(self, site: Site) -> dict[str, int]:
        return dict(zip(self._axes, (int(site[0]), int(site[1])), strict=True))

    def _outcome(self, point: Point) -> Outcome:
        name = None if point.get(ID) is None else str(point[ID])
        if name is not None and name in self._sites:
            site = self._sites[name]
        elif all(axis in point for axis in self._axes):
            row, column = (point[axis] for axis in self._axes)
            site, name = Site(int(row), int(column)), None
        else:
            raise DataError(
                f"a point must have a known {ID!r}, or {' and '.join(self._axes)}; got {sorted(point)}"
            )
        try:
            curve = IVCurve(
                voltage=point["voltage"],
                current=point["current"],
                time=point["time"],
                saturated=point.get("saturated", np.zeros(0, bool)),
            )
        except KeyError as error:
            raise DataError(
                f"a point must have voltage, current and time; {error} is missing. Use curve_point"
            ) from error
        value = _value(self._problem.target, curve)
        if value is not None:
            self._measured.append((name, site, value))
        return Outcome(
            site=site,
            status="saturated" if curve.saturated.any() else "ok",
            curve=curve,
            proposal_id=name,
            visit=self._visits.get(site, 0),
        )


class OptimizerPolicy:
    """Any suggest/ingest optimizer as a policy.

    A suggested point becomes the nearest candidate that was not proposed yet. The optimizer gets the
    site that was measured and the target's value there, under the target's name. A failed or
    unusable curve goes to ``register_failures``, if the optimizer has that.

    Parameters
    ----------
    make : callable
        Called at each reset with the problem and the generator. It makes an optimizer over the
        parameters "row" and "column" with the problem's target as its objective.
    """

    def __init__(self, make: Callable[[Problem, np.random.Generator], SuggestsAndIngests]) -> None:
        self._make = make
        self._optimizer: SuggestsAndIngests | None = None

    def reset(self, problem: Problem, *, rng: np.random.Generator) -> None:
        """Begin anew with a fresh optimizer."""
        self._problem = problem
        self._optimizer = self._make(problem, rng)
        self._free = np.ones(len(problem.candidates), bool)
        self._ids: dict[str, Any] = {}  # our proposal id -> the optimizer's
        self._count = 0

    def ask(self, n: int = 1) -> list[Proposal]:
        """Propose up to `n` new sites. Fewer when fewer candidates are left."""
        optimizer = self._ready()
        n = min(n, int(self._free.sum()))
        if n == 0:
            return []
        proposals = []
        for point in optimizer.suggest(n)[:n]:
            try:
                wanted = np.array([float(point["row"]), float(point["column"])])
            except (KeyError, TypeError, ValueError) as error:
                raise PolicyError(
                    f"the optimizer must suggest a row and a column as numbers; got {dict(point)}"
                ) from error
            if not np.isfinite(wanted).all():
                raise PolicyError(f"the optimizer must suggest finite numbers; got {dict(point)}")
            distance = np.square(self._problem.candidates - wanted).sum(axis=1)
            distance[~self._free] = np.inf
            best = int(distance.argmin())
            self._free[best] = False
            name = f"bluesky-{self._count}"
            self._count += 1
            self._ids[name] = point.get(ID)
            row, column = self._problem.candidates[best]
            proposals.append(Proposal(id=name, site=Site(int(row), int(column))))
        return proposals

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Ingest the measured ones, register the failed ones."""
        optimizer = self._ready()
        points, failures = [], []
        for outcome in outcomes:
            site = {"row": int(outcome.site[0]), "column": int(outcome.site[1])}
            self._free[(self._problem.candidates == outcome.site).all(axis=1)] = False
            name = self._ids.pop(outcome.proposal_id or "", None)
            point: dict[str, Any] = site if name is None else {ID: name, **site}
            value = None if outcome.curve is None else _value(self._problem.target, outcome.curve)
            if value is not None:
                points.append({**point, self._problem.target: value})
            elif name is not None:
                failures.append(point)
        if points:
            optimizer.ingest(points)
        register = getattr(optimizer, "register_failures", None)
        if failures and register is not None:
            register(failures)

    def _ready(self) -> SuggestsAndIngests:
        if self._optimizer is None:
            raise PolicyError("an optimizer policy needs a reset before anything else")
        return self._optimizer


def _value(target: str, curve: IVCurve) -> float | None:
    """The target's value, None if the curve does not have one."""
    described = describe_curve(target, curve)
    return float(described.value[0]) if described.valid[0] else None
