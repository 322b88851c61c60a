"""AtomAI's dklGPR in the place of the surrogate of ``"dkl"``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.models.features import check_window, patches
from grainscout.policies.models.surrogates import Surrogate
from grainscout.policies.parts.roles import Features, Model, RunContext
from grainscout.policies.peers.surrogates import NEVER, PeerModel
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import Scan
from grainscout.records.arrays import FloatArray


class AtomAISurrogate(PeerModel):
    """dklGPR as published: two latent dimensions, 200 cycles, single precision."""

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


@dataclass(frozen=True, kw_only=True)
class RawPatches(Features):
    """Heights of the patch around each site, not standardised one by one.

    Parameters
    ----------
    window : int
        Side of the patch [pixels].
    """

    window: int = option(16, low=1)

    def begin(self, run: RunContext) -> None:
        """Check the window."""
        check_window(self.window, run.problem.scan.shape)

    def table(self, scan: Scan) -> NDArray[np.float32]:
        """(pixels, window²) heights of unit spread over the image."""
        image = scan.channels.get("height", next(iter(scan.channels.values())))
        image = (image - image.mean()) / (float(image.std()) or 1.0)
        every = np.indices(scan.shape).reshape(2, -1).T
        return patches(image, self.window, every).reshape(len(every), -1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class AtomAIModel(Model):
    """AtomAI's dklGPR."""

    def make(self, run: RunContext) -> Surrogate:
        """The peer's model."""
        return AtomAISurrogate(run.table(), run.candidate_rows)


peer_atomai = Recipe(
    "PeerAtomAI",
    """AtomAI's dklGPR on raw patches, retrained at every step (Liu2023); otherwise as ``"dkl"``.""",
    features=RawPatches(),
    model=AtomAIModel(),
    never=(*NEVER, "features", "channels", "components"),
)
