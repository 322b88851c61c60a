"""Global generators and surrogates of peers."""

import contextlib
import copy
import io
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.base import SeededPolicy, Selection
from grainscout.policies.models.features import check_window, patches
from grainscout.policies.models.likelihood import check_data, standardise
from grainscout.policies.models.surrogates import not_fitted
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.observations import Observations
from grainscout.records.arrays import AnyFloatArray, FloatArray, IntArray
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import PolicyError
from grainscout.records.problem import Problem
from grainscout.records.scan import Scan

_SEED = 42
#: Options of ``"dkl"`` that do nothing with a peer's model.
NEVER = ("engine", "position", "refit_growth", "robust")


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that peers draw from, and put them back afterwards."""
    import torch

    state, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    quiet = logging.root.manager.disable
    with (
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        # Their warnings are about their own code, again at every step.
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


class PeerModel:
    """A :class:`~grainscout.policies.models.surrogates.Surrogate` without state: fits start anew.

    `x` (m, d) are the inputs of every row of the table, as the peer takes them.
    """

    at_once = 1024  #: Candidates in one prediction

    def __init__(self, x: AnyFloatArray, candidate_rows: IntArray) -> None:
        self._x, self.candidate_rows = x, np.asarray(candidate_rows, np.int64)
        self._model: Any = None

    @property
    def noise(self) -> float:
        """Learnt variance of the noise, in the target's unit squared."""
        if self._model is None:
            raise not_fitted()
        return float(self._learnt_noise()) * self._scale**2

    def fit(self, rows: IntArray, y: FloatArray, noise: FloatArray | None = None) -> None:
        """Learn from all data so far. Stated noise variances are ignored."""
        check_data(rows, y, noise)
        self._offset, self._scale = standardise(y)
        with seeded(_SEED):
            self._model = self._train(self._x[rows], (y - self._offset) / self._scale)

    def fork(self) -> Self:
        """A copy: a fit makes a new model."""
        return copy.copy(self)

    def predict(self) -> tuple[FloatArray, FloatArray]:
        """See the protocol."""
        rows, step = self.candidate_rows, self.at_once
        parts = [rows[at : at + step] for at in range(0, len(rows), step)]
        found = [self._posterior(self._x[part], joint=False) for part in parts]
        mean, variance = (np.concatenate(f) for f in zip(*found, strict=True))
        std = np.sqrt(np.maximum(variance, 1e-12))
        return self._offset + self._scale * mean, self._scale * std

    def covariance(self, rows: IntArray) -> FloatArray:
        """See the protocol."""
        out = np.empty((len(self.candidate_rows), len(rows)))
        for at in range(0, len(self.candidate_rows), 512):
            part = self.candidate_rows[at : at + 512]
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
            raise not_fitted()
        with seeded(_SEED), torch.no_grad():
            found = self._distribution(torch.as_tensor(x))
            second = found.covariance_matrix if joint else found.variance
            return (
                found.mean.cpu().numpy().astype(np.float64).ravel(),
                second.cpu()
                .numpy()
                .astype(np.float64)
                .squeeze(0 if second.ndim > 1 + joint else ()),
            )


class UnitTargetModel(PeerModel):
    """Targets between 0 and 1 over the known ones, as in the published loop."""

    def _train(self, x: NDArray[Any], y: FloatArray) -> Any:
        self._low, self._span = float(y.min()), float(np.ptp(y)) or 1.0
        return self._train_unit(x, (y - self._low) / self._span)

    def _train_unit(self, x: NDArray[Any], y: FloatArray) -> Any:
        raise PolicyError(f"{type(self).__name__} must train its peer's model in _train_unit")

    def _learnt_noise(self) -> Any:
        return super()._learnt_noise() * self._span**2

    def _posterior(self, x: NDArray[Any], *, joint: bool) -> tuple[FloatArray, FloatArray]:
        mean, second = super()._posterior(x, joint=joint)
        return self._low + self._span * mean, self._span**2 * second


def raw_patches(scan: Scan, window: int) -> NDArray[np.float32]:
    """(pixels, window²) heights of unit spread over the image; patches are not standardised one by one."""
    check_window(window, scan.shape)
    image = scan.channels.get("height", next(iter(scan.channels.values())))
    image = (image - image.mean()) / (float(image.std()) or 1.0)
    every = np.indices(scan.shape).reshape(2, -1).T
    return patches(image, window, every).reshape(len(every), -1).astype(np.float32)


def standard_targets(problem: Problem, observations: Observations) -> tuple[IntArray, FloatArray]:
    """Sites (m, 2) of the usable curves and their standardised targets (m,)."""
    use, y, _ = DescriptorTargets(problem.target, problem.waveform).of(observations)
    if len(y) == 0:
        return observations.sites[use], y
    offset, scale = standardise(y)
    return observations.sites[use], (y - offset) / scale


def ask_peer(
    policy: SeededPolicy,
    n: int,
    available: IntArray,
    recommend: Callable[[IntArray, FloatArray, int, IntArray], IntArray],
    least: int = 1,
) -> Selection:
    """What a peer recommends of sites, standardised targets, n and candidates; at random before `least` curves."""
    sites, y = standard_targets(policy.problem, policy.observations)
    if len(y) < least:
        return Selection(index=policy.rng.choice(available, n, replace=False))
    with seeded(int(policy.rng.integers(2**31))):
        return Selection(index=recommend(sites, y, n, available))
