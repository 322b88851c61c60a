"""Co-navigation of a composition-spread film in structure and composition together (MRS)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.parts.roles import RunContext
from grainscout.policies.parts.standard import ImageFeatures
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records import ConfigError, FloatArray, Scan


@dataclass(frozen=True, kw_only=True)
class CompositionFeatures(ImageFeatures):
    """Image features and the composition of each site."""

    #: ``"columns"`` or ``"rows"`` if the composition varies along the film in that direction: the
    #: coordinate stands for it. Otherwise the name of a channel of the scan, such as a map of the
    #: Cs fraction.
    composition: str = "columns"
    #: Variance of the composition's column over the image, relative to that of all image features
    #: together.
    composition_weight: float = option(1.0, low=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.composition, str) or not self.composition:
            raise ConfigError(
                "composition must be 'columns', 'rows' or the name of a channel; got "
                f"{self.composition!r}"
            )

    def begin(self, run: RunContext) -> None:
        """Check window and channels."""
        super().begin(run)
        composition(run.problem.scan, self.composition)  # an unknown channel fails here

    def table(self, scan: Scan) -> NDArray[np.float32]:
        """(pixels, d + 1) features."""
        image, column = super().table(scan), composition(scan, self.composition)
        share = self.composition_weight / (1.0 + self.composition_weight)
        # The mean of x·x over the table stays 1, as the kernels expect.
        return np.ascontiguousarray(
            np.hstack([np.sqrt(1.0 - share) * image, np.sqrt(share) * column[:, None]]), np.float32
        )


def composition(scan: Scan, source: str) -> FloatArray:
    """(rows columns,) composition of all pixels, row-major, centred and of unit spread.

    source : see :class:`CompositionFeatures`. Zero where it does not vary.
    """
    if source in ("columns", "rows"):
        image = np.indices(scan.shape)[int(source == "columns")].astype(np.float64)
    else:
        image = np.asarray(scan.channel(source), np.float64)
    image = image - image.mean()
    spread = float(image.std())
    return np.asarray(image / (spread if spread > 0 else 1.0)).ravel()


co_navigation = Recipe(
    "CoNavigation",
    """DKL with the composition of each site beside its image features.""",
    features=CompositionFeatures(),
)
