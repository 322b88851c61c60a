"""The ideal map of a film: its structure and laws are known, and what is hidden is kriged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from grainscout.analysis.curves.descriptors import describe_target
from grainscout.records import FloatArray, IntArray, Problem

if TYPE_CHECKING:
    from grainscout.simulator import Film


@dataclass(frozen=True, kw_only=True, eq=False)
class HiddenParts:
    """mean + sum of effect[k] latent[k] + rest at m sites: what the image cannot show of the target."""

    target: FloatArray  #: (m,) true values, NaN where there is none
    mean: FloatArray  #: (m,) values without the hidden parts, and the mean of the rest
    effect: FloatArray  #: (3, m) of one standard deviation of each latent
    grain: IntArray  #: (m,)
    boundary: IntArray  #: (m,)
    place: FloatArray  #: (m, 2) positions over the field's length
    rest: float  #: Variance of what is not linear

    @cached_property
    def _covariance(self) -> FloatArray:
        from scipy.spatial.distance import cdist  # not for those who only list tasks

        apart = np.square(cdist(self.place, self.place))
        same = (
            self.grain[:, None] == self.grain,
            self.boundary[:, None] == self.boundary,
            np.exp(-apart / 4),
        )
        parts = (np.outer(e, e) * k for e, k in zip(self.effect, same, strict=True))
        return sum(parts, np.zeros(apart.shape))

    def covariance(self, a: IntArray, b: IntArray) -> FloatArray:
        """Prior covariance (len(a), len(b)) of sites, without the rest."""
        return np.asarray(self._covariance[np.ix_(a, b)])

    def error(self, measured: IntArray, at: IntArray) -> float:
        """Root mean square error at sites of the map that is kriged from noiseless measured ones."""
        known = measured[np.isfinite(self.target[measured])]
        surprise = (self.target - self.mean)[known]
        gram = self.covariance(known, known) + self.rest * np.eye(len(known))
        guess = self.covariance(at, known) @ np.linalg.lstsq(gram, surprise)[0]
        return float(np.sqrt(np.mean(((self.target - self.mean)[at] - guess) ** 2)))

    def optimal_sites(self, pool: IntArray, n: int) -> IntArray:
        """I-optimal sites of a pool: each lowers its mean variance most. No measurement is needed."""
        pool = pool[np.isfinite(self.target[pool])]
        left = self.covariance(pool, pool)
        chosen: list[int] = []
        for _ in range(min(n, len(pool))):
            own = np.diag(left) + self.rest
            fall = np.einsum("ij,ij->j", left, left)
            gain = np.where(own > 0, fall / np.where(own > 0, own, 1.0), 0.0)
            gain[chosen] = -1.0
            best = int(gain.argmax())
            chosen.append(best)
            left -= np.outer(left[:, best] / (own[best] or 1.0), left[best])
        return pool[chosen]


def hidden_parts(film: Film, problem: Problem, temperature: float, index: IntArray) -> HiddenParts:
    """Find them at candidates of a problem on a film, from its own parameters and laws."""
    from grainscout.simulator.film.mixture import moved
    from grainscout.simulator.film.placement import archetype_weights

    spec, truth, structure = film.spec.transport, film.truth, film.structure
    sites = problem.candidates[index]
    rows, columns = sites.T
    parameters = film.parameters_at(sites)
    grain, boundary = structure.labels[rows, columns], structure.boundary_id[rows, columns]
    near = np.where(boundary < 0, 0.0, archetype_weights(structure, spec)[1][rows, columns])
    # `structure_share` scales the three alike: what it made of the compositions tells by how much.
    drawn, size = float(np.std(truth.composition)), 1.0
    if spec.structure_share is not None and spec.composition and drawn:
        size = drawn / spec.composition
    offset = np.append(truth.boundary_offset, 0.0)[boundary] * near  # -1: none
    field = size * spec.hidden
    latent: dict[str, FloatArray] = {
        "grain": truth.composition[grain],
        "edge": offset,
        "hidden": field * truth.hidden[rows, columns],
    }
    unit: dict[str, Any] = {
        "grain": size * spec.composition,
        "edge": size * spec.boundary_spread * near,
    }
    unit["hidden"] = np.full(len(index), field)

    def described(values: dict[str, FloatArray]) -> FloatArray:
        result = film.law.curves(
            values,
            problem.waveform,
            light=problem.light,
            temperature=temperature,
            globals_=spec.globals_,
        )
        found = describe_target(problem, result.current)
        return np.where(found.valid & ~found.censored, found.value, np.nan)

    bare = moved(parameters, film.law, **{k: -v for k, v in latent.items()})
    target, mean = described(parameters), described(bare)
    # Over one standard deviation each way: the laws are exponential in what is hidden.
    up, down = (
        np.array([described(moved(bare, film.law, **{k: way * v})) for k, v in unit.items()])
        for way in (1.0, -1.0)
    )
    effect, bend = (up - down) / 2, (up + down) / 2 - mean
    effect[~np.isfinite(effect)], bend[~np.isfinite(bend)] = 0.0, 0.0
    mean = mean + bend.sum(axis=0)
    share = [
        np.divide(latent[k], v, out=np.zeros(len(index)), where=v != 0) for k, v in unit.items()
    ]
    rest = target - mean - (effect * share).sum(axis=0)
    known = np.isfinite(rest)
    target = np.where(known, target, np.nan)
    return HiddenParts(
        target=target,
        mean=mean + rest[known].mean(),
        effect=effect,
        grain=grain,
        boundary=boundary,
        place=problem.scan.positions(sites) / spec.hidden_length,
        rest=float(rest[known].var()),
    )
