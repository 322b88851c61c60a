"""The two ends of the scale of maps on one film: many random designs, and the ideal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grainscout.benchmarks.tasks.referee import referee_maps
from grainscout.benchmarks.tasks.score import score_map
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.records import FloatArray, IntArray, IVCurve, Outcome, Problem, Site

#: Random designs whose mean error is 0, and those that go on beyond the budget.
DESIGNS, FURTHER = 20, 2
#: Times the budget that random designs go on, and the most curves: the reach of the acceleration factor.
_BEYOND, _MOST = (2.0, 4.0), 500
#: Candidates where the ideal map is judged, and those that its designs are drawn from.
_JUDGED, _POOL = 500, 700
_SHARES = (0.15, 0.45, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchors:
    """Errors of maps over the spread of the truth after `counts` curves, which are noiseless for all."""

    counts: FloatArray  #: (k,) numbers of curves, rising
    random: dict[str, FloatArray]  #: (k,) mean scores of the referee's maps over random designs
    ideal: FloatArray  #: (k,) mean error of the ideal map on random designs, 0 where it is unknown
    optimal: FloatArray  #: (k,) error of the ideal map on the I-optimal design, NaN where unknown

    def plain(self) -> dict[str, Any]:
        """Plain values, which `of` reads."""
        random = {k: v.tolist() for k, v in self.random.items()}
        arrays = {"counts": self.counts, "ideal": self.ideal, "optimal": self.optimal}
        return {**{k: v.tolist() for k, v in arrays.items()}, "random": random}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Anchors":
        """The anchors of plain values."""
        values = {k: np.array(v) for k, v in plain.items() if k != "random"}
        return cls(random={k: np.array(v) for k, v in plain["random"].items()}, **values)

    def at(self, count: float) -> dict[str, float]:
        """What a map of `count` curves is held against, columns of a table."""
        table = {f"{k}_random": self._read(v, count) for k, v in self.random.items()}
        error = self.random["nrmse"]
        return {
            **table,
            "nrmse_random": float(np.exp(self._read(np.log(error), count))),
            "nrmse_ideal": self._read(self.ideal, count),
            "nrmse_optimal": self._read(self.optimal, count),
        }

    def acceleration(self, count: float, error: float) -> float:
        """How many times `count` random curves reach `error` (arXiv 2508.06642); 0 or inf beyond `counts`."""
        falling = np.minimum.accumulate(self.random["nrmse"])
        if error >= falling[0] or error < falling[-1]:
            return 0.0 if error >= falling[0] else np.inf
        log = np.interp(-error, -falling, np.log(self.counts))
        return float(np.exp(log) / count)

    def _read(self, values: FloatArray, count: float) -> float:
        """Value at a number of curves; over its logarithm errors run almost straight."""
        return float(np.interp(np.log(max(count, 1.0)), np.log(self.counts), values))


def find_anchors(problem: Problem, truth: TaskTruth, budget: int) -> Anchors:
    """Compute them for runs of `budget` curves. The same for the same film and task."""
    rng = np.random.default_rng(20_000)
    sites = len(problem.candidates)
    most = min(_MOST, sites)
    counts = sorted({min(max(2, round(s * budget)), most) for s in (*_SHARES, *_BEYOND)})
    within = [n for n in counts if n <= max(budget, counts[0])]
    rows: list[list[dict[str, float]]] = [[] for _ in counts]
    for design in range(DESIGNS):
        asked = counts if design < FURTHER else within
        chosen = rng.choice(sites, asked[-1], replace=False)
        maps = referee_maps(problem, noiseless(problem, truth, chosen), asked)
        for row, (mean, std) in zip(rows, maps, strict=False):
            row.append(score_map(truth, mean, std, problem))
    random = {k: np.array([np.nanmean([r[k] for r in row]) for row in rows]) for k in rows[0][0]}
    if truth.hidden is None:
        none = np.zeros(len(counts))
        return Anchors(
            counts=np.array(counts, float), random=random, ideal=none, optimal=none * np.nan
        )
    scored = rng.permutation(np.flatnonzero(truth.mapped))[:_JUDGED]
    pool = rng.permutation(np.setdiff1d(np.arange(sites), scored))[:_POOL]
    parts = truth.hidden(np.concatenate([scored, pool]))
    at, pool = (
        np.flatnonzero(np.isfinite(parts.target[: len(scored)])),
        len(scored) + np.arange(len(pool)),
    )
    spread = float(truth.target[truth.mapped].std())
    best = parts.optimal_sites(pool, counts[-1])
    ideal = [
        np.mean([parts.error(rng.permutation(pool)[:n], at) for _ in range(DESIGNS)]) / spread
        for n in counts
    ]
    optimal = [parts.error(best[:n], at) / spread for n in counts]
    return Anchors(
        counts=np.array(counts, float),
        random=random,
        ideal=np.array(ideal),
        optimal=np.array(optimal),
    )


def noiseless(problem: Problem, truth: TaskTruth, index: IntArray) -> list[Outcome]:
    """Outcomes at candidates as an instrument without noise or faults would give them."""
    if truth.curves is None:
        return []
    wave = problem.waveform
    none = np.zeros(len(wave), bool)
    return [
        Outcome(
            site=Site(*map(int, site)),
            status="ok",
            curve=IVCurve(voltage=wave.voltage, current=current, time=wave.time, saturated=none),
        )
        for site, current in zip(problem.candidates[index], truth.curves(index), strict=True)
    ]
