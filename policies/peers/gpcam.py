"""gpCAM behind our ask and tell."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from grainscout.policies.base import SeededPolicy, Selection
from grainscout.policies.peers.surrogates import ask_peer
from grainscout.records import FloatArray, IntArray

#: Of signal variance, two length scales over the scan's sides, and the noise's variance.
_BOUNDS = np.array([[0.01, 10.0], [0.02, 2.0], [0.02, 2.0], [1e-4, 2.0]])
#: Candidates that it weighs in one call: it makes the covariance of each with each.
_AT_ONCE = 256


@dataclass(kw_only=True)
class PeerGpCAM(SeededPolicy):
    """gpCAM's Gaussian process over the plane, trained anew at each step. It knows no image."""

    #: One of gpCAM's own: "variance" (its default), "expected improvement", "ucb", ...
    acquisition: str = "variance"

    def _choose(self, n: int, available: IntArray) -> Selection:
        return ask_peer(self, n, available, self._recommend, least=2)

    def _recommend(self, sites: IntArray, y: FloatArray, n: int, available: IntArray) -> IntArray:
        from gpcam import GPOptimizer

        def noise(x: Any, hyperparameters: FloatArray) -> FloatArray:
            return np.full(len(x), hyperparameters[3])

        size = np.array(self.problem.scan.shape, np.float64)
        start = np.array([1.0, 0.2, 0.2, 0.1])
        model = GPOptimizer(sites / size, y, init_hyperparameters=start, noise_function=noise)
        model.train(hyperparameter_bounds=_BOUNDS, method="local")
        chosen: list[int] = []
        for _ in range(n):  # candidate lists give the best one; a constant liar spreads the others
            left = np.setdiff1d(available, chosen)
            best, most = left[0], -np.inf
            for at in range(0, len(left), _AT_ONCE):
                part = left[at : at + _AT_ONCE]
                places = self.problem.candidates[part] / size
                found = model.ask(list(places), acquisition_function=self.acquisition)
                if (value := float(np.max(found["f_a(x)"]))) > most:
                    away = places - np.asarray(found["x"]).reshape(-1, 2)[0]
                    best, most = part[(away**2).sum(1).argmin()], value
            chosen.append(int(best))
            if len(chosen) < n:
                place = self.problem.candidates[best] / size
                model.tell(place.reshape(1, 2), np.zeros(1), append=True)
        return np.array(chosen, np.int64)
