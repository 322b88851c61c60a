"""Random sites: the baseline that every policy has to beat."""

from dataclasses import dataclass

from grainscout.policies.base import CandidatePolicy, Selection
from grainscout.records import IntArray


@dataclass(kw_only=True)
class Random(CandidatePolicy):
    """Uniformly random available candidates, without replacement."""

    def _choose(self, n: int, available: IntArray) -> Selection:
        return Selection(index=self.rng.choice(available, n, replace=False))
