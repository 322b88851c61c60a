"""Peers in the same table: other packages' models and optimisers behind the same ask and tell.

Each adapter is thin and imports its package when it is first used; :data:`PEERS` are known by name
only where their package is installed.  All learn the problem's target from the same curves as every
other policy.  AtomAI and BoTorch bring a model, which takes the place of DKL's; Ax and BayBE bring
the choice as well, so they only look for large values.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.base import Choice, SeededPolicy
from grainscout.policies.models.features import feature_table, patches
from grainscout.policies.models.gp import check_data, standardise
from grainscout.policies.models.surrogate import Surrogate
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.strategies.dkl import DKL
from grainscout.policies.validation import check_count
from grainscout.records import PackedState, PolicyError
from grainscout.records.arrays import AnyFloatArray, FloatArray, IntArray

_SEED = 42


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Peers draw from global generators: seeded inside, put back as they were afterwards."""
    import torch

    state, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    quiet = logging.root.manager.disable
    with (
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        # Their remarks are about code that is not ours to mend, at every step anew.
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            logging.disable(quiet)
            random.setstate(state)
            np.random.set_state(legacy)  # noqa: NPY002


class _PeerModel:
    """A :class:`~grainscout.policies.models.surrogate.Surrogate`; every fit starts anew, so no state.

    x : (m, d) inputs of every row of the table, as the peer takes them.
    """

    def __init__(self, x: AnyFloatArray, pool: IntArray) -> None:
        self._x, self._pool = x, np.asarray(pool, np.int64)
        self._model: Any = None

    @property
    def pool(self) -> IntArray:
        """(c,) rows of the candidates."""
        return self._pool

    @property
    def noise(self) -> float:
        """Learnt variance of the noise, in the target's unit squared."""
        return float(self._learnt_noise()) * self._scale**2

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """See the protocol; stated noise variances are ignored."""
        check_data(rows, y, noise)
        self._offset, self._scale = standardise(y)
        with _seeded(_SEED):
            self._model = self._train(self._x[rows], (y - self._offset) / self._scale)

    def fork(self) -> Self:
        """See the protocol; a fit makes a new model."""
        return copy.copy(self)

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        parts = [self._pool[at : at + 1024] for at in range(0, len(self._pool), 1024)]
        found = [self._posterior(self._x[part], joint=False) for part in parts]
        mean, variance = (np.concatenate(f) for f in zip(*found, strict=True))
        std = np.sqrt(np.maximum(variance, 1e-12))
        return self._offset + self._scale * mean, self._scale * std

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        out = np.empty((len(self._pool), len(rows)))
        for at in range(0, len(self._pool), 512):
            part = self._pool[at : at + 512]
            both = np.concatenate([self._x[part], self._x[rows]])
            out[at : at + 512] = self._posterior(both, joint=True)[1][: len(part), len(part) :]
        return self._scale**2 * out

    def joint(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        mean, covariance = self._posterior(self._x[rows], joint=True)
        return self._offset + self._scale * mean, self._scale**2 * covariance

    def state(self) -> PackedState:
        """Nothing: the same data give the same model."""
        return {}

    def restore(
        self, state: PackedState, rows: IntArray, y: FloatArray, noise: FloatArray | None
    ) -> None:
        """See the protocol."""
        self.fit(rows, y, noise)

    def _train(self, x: NDArray[Any], y: FloatArray) -> Any:
        raise PolicyError(f"{type(self).__name__} must train its peer's model in _train")

    def _learnt_noise(self) -> Any:
        return self._model.likelihood.noise.detach().mean()

    def _distribution(self, x: Any) -> Any:
        return self._model.posterior(x).distribution

    def _posterior(self, x: NDArray[Any], *, joint: bool) -> tuple[FloatArray, FloatArray]:
        import torch

        if self._model is None:
            raise PolicyError("the surrogate must be fitted before it predicts; it has no data yet")
        with _seeded(_SEED), torch.no_grad():
            found = self._distribution(torch.as_tensor(x))
            second = found.covariance_matrix if joint else found.variance
            return (
                found.mean.numpy().astype(np.float64).ravel(),
                second.numpy().astype(np.float64).squeeze(0 if second.ndim > 1 + joint else ()),
            )


class _BoTorchModel(_PeerModel):
    """SingleTaskGP with its own priors and fit; float64."""

    def _train(self, x: NDArray[Any], y: FloatArray) -> Any:
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from gpytorch.mlls import ExactMarginalLogLikelihood

        model = SingleTaskGP(
            torch.as_tensor(x), torch.as_tensor(y)[:, None], outcome_transform=None
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model


class _AtomAIModel(_PeerModel):
    """dklGPR as it was flown: two latent dimensions, 200 cycles, single precision."""

    def _train(self, x: NDArray[Any], y: FloatArray) -> Any:
        from atomai.models import dklGPR

        model = dklGPR(x.shape[1], embedim=2, precision="single")
        # Targets between 0 and 1, as in the published loop.
        self._low, self._span = float(y.min()), float(np.ptp(y)) or 1.0
        model.fit(x, (y - self._low) / self._span, training_cycles=200)
        return model

    def _learnt_noise(self) -> Any:
        return self._model.likelihood.noise.detach().mean() * self._span**2

    def _posterior(self, x: NDArray[Any], *, joint: bool) -> tuple[FloatArray, FloatArray]:
        mean, second = super()._posterior(x, joint=joint)
        return self._low + self._span * mean, self._span**2 * second

    def _distribution(self, x: Any) -> Any:
        return self._model._compute_posterior(x)


@dataclass(kw_only=True)
class PeerBoTorch(DKL):
    """The options of ``"dkl"``, with BoTorch's SingleTaskGP on principal components of the patches."""

    features: str = "pca"
    components: int = 10

    @property
    def surrogate(self) -> Surrogate:
        """The peer's model, made when it is first needed."""
        if self._surrogate is None:
            table = self._table(self.features).astype(np.float64)
            low, span = table.min(0), np.ptp(table, axis=0)
            self._surrogate = _BoTorchModel(
                (table - low) / np.where(span > 0, span, 1.0), self._pool
            )
        return self._surrogate


@dataclass(kw_only=True)
class PeerAtomAI(DKL):
    """The options of ``"dkl"``, with AtomAI's dklGPR on raw patches, retrained at every step (S23)."""

    @property
    def surrogate(self) -> Surrogate:
        """The peer's model, made when it is first needed."""
        if self._surrogate is None:
            scan = self.problem.scan
            image = scan.channels.get("height", next(iter(scan.channels.values())))
            image = (image - image.mean()) / (float(image.std()) or 1.0)
            every = np.indices(scan.shape).reshape(2, -1).T
            x = patches(image, self.window, every).reshape(len(every), -1)
            self._surrogate = _AtomAIModel(x.astype(np.float32), self._pool)
        return self._surrogate


@dataclass(kw_only=True)
class _PeerOptimiser(SeededPolicy):
    """A peer that chooses by itself: told all curves anew at each ask, so nothing else is state."""

    def _begin(self) -> None:
        self._described = DescriptorTargets(self.problem.target, self.problem.waveform)

    def _select(self, n: int, open_: IntArray) -> Choice:
        use, y, _ = self._described.of(self.archive)
        if len(y) == 0:
            return Choice(index=self.rng.choice(open_, n, replace=False))
        seed = int(self.rng.integers(2**31))
        offset, scale = standardise(y)
        with _seeded(seed):
            chosen = self._recommend(self.archive.sites[use], (y - offset) / scale, n, open_, seed)
        return Choice(index=chosen)

    def _recommend(
        self, sites: IntArray, y: FloatArray, n: int, open_: IntArray, seed: int
    ) -> IntArray:
        raise PolicyError(f"{type(self).__name__} must ask its peer in _recommend")


@dataclass(kw_only=True)
class PeerAx(_PeerOptimiser):
    """Ax with its default Bayesian optimisation over the plane; it knows no image.

    Its points are continuous; the nearest open site is measured.
    """

    def _recommend(
        self, sites: IntArray, y: FloatArray, n: int, open_: IntArray, seed: int
    ) -> IntArray:
        from ax.api.client import Client
        from ax.api.configs import RangeParameterConfig

        rows, columns = self.problem.scan.shape
        client = Client(random_seed=seed)
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
            left = np.setdiff1d(open_, chosen)
            away = self.problem.candidates[left] - [point["row"], point["column"]]
            chosen.append(int(left[(away**2).sum(1).argmin()]))
        return np.array(chosen, np.int64)


@dataclass(kw_only=True)
class PeerBayBE(_PeerOptimiser):
    """BayBE's default recommender over the open candidates, described by patch components.

    Options
    -------
    window, components : of the patches, as in ``"dkl"``.
    pool : candidates that it is offered at each step, drawn at random (its search space is a table
        that is made anew).
    """

    window: int = 16
    components: int = 10
    pool: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("window", self.window, low=1)
        check_count("components", self.components, low=1)
        check_count("pool", self.pool, low=1)

    def _begin(self) -> None:
        super()._begin()
        self._features = feature_table(
            self.problem.scan, kind="pca", window=self.window, components=self.components
        ).astype(np.float64)

    def _recommend(
        self, sites: IntArray, y: FloatArray, n: int, open_: IntArray, seed: int
    ) -> IntArray:
        import pandas as pd
        from baybe.objectives import SingleTargetObjective
        from baybe.parameters import CustomDiscreteParameter
        from baybe.recommenders import BotorchRecommender
        from baybe.searchspace import SearchSpace
        from baybe.targets import NumericalTarget

        offered = np.sort(self.rng.choice(open_, min(self.pool, len(open_)), replace=False))
        every = np.concatenate([self.problem.candidates[offered], sites])
        rows = self._features[self.problem.scan.flat(every)]
        # One label for all sites of equal surroundings, which it could not tell apart.
        kinds, kind = np.unique(rows[:, np.ptp(rows, axis=0) > 0], axis=0, return_inverse=True)
        here, told = kind[: len(offered)], kind[len(offered) :]
        if len(np.unique(here)) <= n:
            return np.asarray(self.rng.permutation(offered)[:n], np.int64)
        site = CustomDiscreteParameter(
            "site",
            pd.DataFrame(kinds, index=[str(k) for k in range(len(kinds))]).rename(columns=str),
            decorrelate=False,
            active_values=[str(k) for k in np.unique(here)],
        )
        measured = pd.DataFrame({"site": told.astype(str), "target": y})
        objective = SingleTargetObjective(NumericalTarget("target"))
        best = BotorchRecommender().recommend(
            n, SearchSpace.from_product([site]), objective, measured
        )
        return offered[[int((here == int(k)).argmax()) for k in best["site"]]]
