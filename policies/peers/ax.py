"""Ax behind our ask and tell."""

from dataclasses import dataclass

import numpy as np

from grainscout.policies.base import SeededPolicy, Selection
from grainscout.policies.peers.surrogates import ask_peer
from grainscout.records import FloatArray, IntArray


@dataclass(kw_only=True)
class PeerAx(SeededPolicy):
    """Ax with its default Bayesian optimisation over the plane. It knows no image.

    Its points are continuous; the nearest available site is measured.
    """

    def _choose(self, n: int, available: IntArray) -> Selection:
        return ask_peer(self, n, available, self._recommend)

    def _recommend(self, sites: IntArray, y: FloatArray, n: int, available: IntArray) -> IntArray:
        import torch
        from ax.api.client import Client
        from ax.api.configs import RangeParameterConfig

        rows, columns = self.problem.scan.shape
        client = Client(random_seed=torch.initial_seed())
        client.configure_experiment(
            parameters=[
                RangeParameterConfig(name=name, bounds=(0.0, float(size)), parameter_type="float")
                for name, size in (("row", rows), ("column", columns))
            ]
        )
        client.configure_optimization(objective="target")
        for site, value in zip(sites, y, strict=True):
            at = client.attach_trial({"row": float(site[0]), "column": float(site[1])})
            client.complete_trial(at, raw_data={"target": float(value)})
        wanted = client.get_next_trials(max_trials=n).values()
        chosen: list[int] = []
        for point in wanted:
            left = np.setdiff1d(available, chosen)
            away = self.problem.candidates[left] - [point["row"], point["column"]]
            chosen.append(int(left[(away**2).sum(1).argmin()]))
        return np.array(chosen, np.int64)
