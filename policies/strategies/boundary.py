"""Boundary-only deep-kernel learning (the "Res-DKL" of Liu2023)."""

from dataclasses import dataclass

import numpy as np

from grainscout.microstructure.features import structure_features
from grainscout.policies.parts.roles import Candidates, Maps, RunContext
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class BoundaryCandidates(Candidates):
    """Grain boundaries first."""

    #: ``"learned"`` is every pixel that the structure reader takes to be near a boundary,
    #: ``"classical"`` those that touch a line between the grains found in its map.
    detector: str = option("learned", choices=("learned", "classical"))
    #: Least proximity to a boundary that the reader says (probability of Liu2023: 0.4).
    threshold: float = option(0.4, low=0.0, high=1.0)
    #: Number of the reader's standard deviations that are taken off the proximity first, so that
    #: sites of which it is unsure are no boundary. 0 ignores them, as published.
    caution: float = option(0.0, low=0.0)

    def begin(self, run: RunContext) -> None:
        """Find the boundaries."""
        self.maps(run)

    def maps(self, run: RunContext) -> Maps:
        """Boundary (1 or 0), its proximity and how unsure that is."""
        return run.memo("boundary", lambda: self._detect(run))

    def _detect(self, run: RunContext) -> dict[str, FloatArray]:
        scan, sites = run.problem.scan, run.problem.candidates
        at = (sites[:, 0], sites[:, 1])
        if self.detector == "classical":
            chance = (structure_features(scan).boundary == 0)[at].astype(np.float64)
            spread = np.zeros(len(sites))
            boundary = chance > 0
        else:
            from grainscout.microstructure.reader import read_structure

            reading = read_structure(scan)
            chance, spread = (
                m["boundary"][at].astype(np.float64) for m in (reading.maps, reading.sd)
            )
            boundary = chance - self.caution * spread > self.threshold
        return {
            "boundary": boundary.astype(np.float64),
            "boundary_probability": chance,
            "boundary_spread": spread,
        }

    def among(self, run: RunContext, available: IntArray) -> IntArray:
        """The available boundary sites, or all sites if there is none."""
        inside = available[self.maps(run)["boundary"][available] > 0]
        return inside if inside.size else available


boundary_dkl = Recipe(
    "BoundaryDKL",
    """DKL that measures at grain boundaries only, found in the image.

    The model is still of all candidates, and points measured by hand are learnt from wherever they
    are. When every boundary site has been measured, or the image shows none, it goes on elsewhere.
    """,
    candidates=BoundaryCandidates(),
)
