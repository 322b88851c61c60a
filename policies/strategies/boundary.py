"""Boundary-only deep-kernel learning (the "Res-DKL" of S23)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainscout.microstructure.features import microstructure
from grainscout.policies.base import Choice
from grainscout.policies.strategies.dkl import DKL
from grainscout.policies.validation import check_choice, check_number
from grainscout.records.arrays import BoolArray, FloatArray, IntArray


@dataclass(kw_only=True)
class BoundaryDKL(DKL):
    """The options of ``"dkl"``, but only grain boundaries are measured.

    Options
    -------
    detector : what finds them in the image: ``"learned"`` (the shipped ensemble of edge networks,
        see ``_detector``) or ``"classical"`` (ridge filter and watershed, see ``_film_means``).
    threshold : of the learned detector's mean probability (S23: 0.4).
    caution : that many standard deviations of the ensemble are taken off the mean probability first,
        so that what its members disagree on is no boundary; 0 ignores them, as published.

    The model is still of all candidates, and points measured by hand are learnt from wherever they
    are.  When every boundary site has been measured, or the image shows none, it goes on elsewhere.
    """

    detector: str = "learned"
    threshold: float = 0.4
    caution: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("detector", self.detector, ("learned", "classical"))
        check_number("threshold", self.threshold, low=0.0, high=1.0)
        check_number("caution", self.caution, low=0.0)

    def _begin(self) -> None:
        super()._begin()
        sites = self.problem.candidates
        at = (sites[:, 0], sites[:, 1])
        if self.detector == "classical":
            self._chance = (microstructure(self.problem.scan).boundary == 0)[at].astype(np.float64)
            self._spread = np.zeros(len(sites))
            self.boundary: BoolArray = self._chance > 0
            return
        from grainscout.microstructure.detector import detect

        found = detect(self.problem.scan)
        self._chance, self._spread = found.probability[at], found.spread[at]
        self.boundary = self._chance - self.caution * self._spread > self.threshold

    def _choose(self, n: int, open_: IntArray) -> Choice:
        inside = open_[self.boundary[open_]]
        if inside.size == 0:
            return super()._choose(n, open_)
        return super()._choose(min(n, inside.size), inside)

    def explain(self) -> dict[str, FloatArray]:
        """Maps of what it thinks now, with where it takes the image to show a boundary."""
        return {
            **super().explain(),
            "boundary": self.problem.as_map(self.boundary.astype(np.float64)),
            "boundary_probability": self.problem.as_map(self._chance),
            "boundary_spread": self.problem.as_map(self._spread),
        }
