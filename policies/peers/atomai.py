"""AtomAI's dklGPR in the place of the surrogate of ``"dkl"``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.models.features import check_window
from grainscout.policies.models.surrogates import Surrogate
from grainscout.policies.parts.roles import Features, Model, RunContext
from grainscout.policies.peers.surrogates import NEVER, UnitTargetModel, raw_patches
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import FloatArray, Scan


class AtomAISurrogate(UnitTargetModel):
    """dklGPR as published: two latent dimensions, 200 cycles, single precision."""

    def _train_unit(self, x: NDArray[Any], y: FloatArray) -> Any:
        from atomai.models import dklGPR

        model = dklGPR(x.shape[1], embedim=2, precision="single")
        model.fit(x, y, training_cycles=200)
        return model

    def _distribution(self, x: Any) -> Any:
        return self._model._compute_posterior(x)


@dataclass(frozen=True, kw_only=True)
class RawPatches(Features):
    """Heights of the patch around each site, not standardised one by one."""

    window: int = option(16, low=1)  #: Side of the patch [pixels]

    def begin(self, run: RunContext) -> None:
        """Check the window."""
        check_window(self.window, run.problem.scan.shape)

    def table(self, scan: Scan) -> NDArray[np.float32]:
        """(pixels, window²) heights of unit spread over the image."""
        return raw_patches(scan, self.window)


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
