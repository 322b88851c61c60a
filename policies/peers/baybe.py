"""BayBE behind our ask and tell."""

from dataclasses import dataclass

import numpy as np

from grainscout.policies.base import SeededPolicy, Selection
from grainscout.policies.models.features import feature_table
from grainscout.policies.peers.surrogates import ask_peer
from grainscout.policies.validation import option
from grainscout.records import FloatArray, IntArray


@dataclass(kw_only=True)
class PeerBayBE(SeededPolicy):
    """BayBE's default recommender over the available candidates, described by patch components."""

    window: int = option(16, low=1)  #: Side of the patch [pixels]
    components: int = option(10, low=1)  #: Number of principal components
    #: Number of candidates that it is offered at each step, drawn at random. Its search space is a
    #: table that is made anew.
    pool: int = option(2000, low=1)

    def _begin(self) -> None:
        self._features = feature_table(
            self.problem.scan, kind="pca", window=self.window, components=self.components
        ).astype(np.float64)

    def _choose(self, n: int, available: IntArray) -> Selection:
        return ask_peer(self, n, available, self._recommend)

    def _recommend(self, sites: IntArray, y: FloatArray, n: int, available: IntArray) -> IntArray:
        import pandas as pd
        from baybe.objectives import SingleTargetObjective
        from baybe.parameters import CustomDiscreteParameter
        from baybe.recommenders import BotorchRecommender
        from baybe.searchspace import SearchSpace
        from baybe.targets import NumericalTarget

        offered = np.sort(self.rng.choice(available, min(self.pool, len(available)), replace=False))
        every = np.concatenate([self.problem.candidates[offered], sites])
        rows = self._features[self.problem.scan.flat(every)]
        # One label for all sites of equal surroundings, which it could not tell apart.
        looks, look = np.unique(rows[:, np.ptp(rows, axis=0) > 0], axis=0, return_inverse=True)
        here, measured_looks = look[: len(offered)], look[len(offered) :]
        if len(np.unique(here)) <= n:
            return np.asarray(self.rng.permutation(offered)[:n], np.int64)
        site = CustomDiscreteParameter(
            "site",
            pd.DataFrame(looks, index=[str(k) for k in range(len(looks))]).rename(columns=str),
            decorrelate=False,
            active_values=[str(k) for k in np.unique(here)],
        )
        measured = pd.DataFrame({"site": measured_looks.astype(str), "target": y})
        objective = SingleTargetObjective(NumericalTarget("target"))
        best = BotorchRecommender().recommend(
            n, SearchSpace.from_product([site]), objective, measured
        )
        return offered[[int((here == int(k)).argmax()) for k in best["site"]]]
