"""Random sites: the baseline that every policy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.base import CandidatePolicy, Choice


@dataclass(kw_only=True)
class Random(CandidatePolicy):
    """Uniformly random open candidates, without replacement."""

    def _choose(self, n: int, open_: NDArray[np.int64]) -> Choice:
        return Choice(index=self.rng.choice(open_, n, replace=False))
