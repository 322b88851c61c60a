"""Random sites: the baseline that every policy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from grainscout.policies.base import CandidatePolicy, Choice
from grainscout.records.arrays import IntArray


@dataclass(kw_only=True)
class Random(CandidatePolicy):
    """Uniformly random open candidates, without replacement."""

    def _choose(self, n: int, open_: IntArray) -> Choice:
        return Choice(index=self.rng.choice(open_, n, replace=False))
