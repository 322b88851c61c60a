"""Parts of deep-kernel learning, which other policies share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.acquisition import ACQUISITIONS, Posterior
from grainscout.policies.models.features import FEATURES, check_window, coordinates, feature_table
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.kernels import Placed
from grainscout.policies.models.likelihood import WIDTH
from grainscout.policies.models.surrogates import KERNELS, SURROGATES, Surrogate
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.parts.roles import (
    Acquisition,
    Features,
    Model,
    RunContext,
    Target,
    TrainingData,
)
from grainscout.policies.validation import option
from grainscout.records import ConfigError, FloatArray, Problem, Scan


@dataclass(frozen=True, kw_only=True)
class ImageFeatures(Features):
    """Features of the image around each site."""

    #: ``"jets"`` are rotation-invariant derivatives, ``"pca"`` principal components of the patches,
    #: ``"both"`` the two, and ``"structure"`` jets with the microstructure that the height shows.
    features: str = option("structure", choices=FEATURES)
    #: Images that the features come from. Empty takes the height, and the current if there is one.
    channels: tuple[str, ...] = ()
    window: int = option(16, low=1)  #: Side of the patch [pixels]
    components: int = option(24, low=1)  #: Number of principal components

    def __post_init__(self) -> None:
        super().__post_init__()
        names: object = self.channels
        if not isinstance(names, (list, tuple)) or not all(isinstance(c, str) for c in names):
            raise ConfigError(f"channels must be a list of names of images; got {self.channels!r}")
        object.__setattr__(self, "channels", tuple(self.channels))

    def begin(self, run: RunContext) -> None:
        """Check window and channels."""
        check_window(self.window, run.problem.scan.shape)
        for name in self.channels:
            run.problem.scan.channel(name)  # an unknown one fails here

    def table(self, scan: Scan) -> NDArray[np.float32]:
        """(pixels, d) features."""
        return feature_table(
            scan,
            kind=self.features,
            window=self.window,
            components=self.components,
            channels=self.channels or None,
        )


@dataclass(frozen=True, kw_only=True)
class PlaneFeatures(Features):
    """Coordinates of the sites, blind to the image."""

    of_image: ClassVar[bool] = False

    def table(self, scan: Scan) -> NDArray[np.float32]:
        """(pixels, 2) coordinates in eighths of the image's side."""
        return coordinates(scan)


@dataclass(frozen=True, kw_only=True)
class PlaneModel(Model):
    """A Gaussian process with a stationary kernel of the features."""

    #: Kernel of the distance; ``"matern"`` is that with exponent 5/2.
    engine: str = option("matern", choices=("matern", "rbf"))
    #: Hyper-parameters are refitted when the data have grown by this fraction. 0 refits at every
    #: step.
    refit_growth: float = option(0.2, low=0.0)
    robust: bool = option(True)  #: Student-t noise, which spoilt curves do not bend

    @property
    def width(self) -> float:
        """See :class:`Model`."""
        return WIDTH

    def make(self, run: RunContext) -> Surrogate:
        """A Gaussian process over the feature table."""
        return GaussianProcess(
            run.table(),
            run.candidate_rows,
            KERNELS[self.engine],
            growth=self.refit_growth,
            robust=self.robust,
        )


@dataclass(frozen=True, kw_only=True)
class KernelModel(PlaneModel):
    """A surrogate of the features and of the place.

    Spoilt curves do not bend a `robust` map: Student-t noise, or for ``"mlp"`` targets limited to four
    robust deviations.
    """

    #: ``"nngp"`` is a deep kernel in closed form, ``"mlp"`` an ensemble of learned deep kernels and
    #: ``"mlp-published"`` the loop of Liu2023: slow, for comparison.
    engine: str = option("nngp", choices=SURROGATES)
    #: Learn a smooth field over the plane beside the features, for what no image shows, such as
    #: composition. Engines in closed form only.
    position: bool = option(True)

    @property
    def width(self) -> float:
        """See :class:`Model`."""
        return 1.0 if self.engine == "mlp-published" else WIDTH

    def begin(self, run: RunContext) -> None:
        """Check that the published loop has patches to work on."""
        if self.engine == "mlp-published" and not isinstance(run.features, ImageFeatures):
            raise ConfigError(
                f"engine must work on {type(run.features).__name__}; 'mlp-published' needs patches"
            )

    def make(self, run: RunContext) -> Surrogate:
        """The engine of that name over the feature table."""
        scan, rows = run.problem.scan, run.candidate_rows
        if self.engine == "mlp-published" and isinstance(run.features, ImageFeatures):
            from grainscout.policies.peers.mlp_published import PublishedLoop

            return PublishedLoop(scan, rows, window=run.features.window)
        if self.engine == "mlp":
            from grainscout.policies.models.mlp_dkl import Ensemble

            return Ensemble(
                run.table(),
                rows,
                growth=self.refit_growth,
                seed=run.weights_seed,
                robust=self.robust and run.defaults >= 3,
            )
        if not self.position:
            return super().make(run)
        return GaussianProcess(
            np.hstack([run.table(), run.features.place(scan)]),
            rows,
            Placed(inner=KERNELS[self.engine]),
            growth=self.refit_growth,
            robust=self.robust,
        )


@dataclass(frozen=True, kw_only=True)
class DescriptorTarget(Target):
    """A named descriptor of the curves.

    Curves whose descriptor is not valid and failed measurements are never learnt from. The
    descriptor's own variance, times a learnt factor, is added to the learnt noise of each curve.
    """

    target: str = ""  #: Name of the descriptor. Empty takes the problem's.
    #: Learn the bound of a curve whose descriptor is only known to lie beyond it, such as the
    #: turn-on of a contact that never turns on, or leave the curve out.
    censored: str = option("bound", choices=("bound", "exclude"))
    #: What to do with curves that have samples at the amplifier's rail.
    saturated: str = option("use", choices=("use", "exclude"))
    #: ``"exclude"`` leaves out dead contacts, curves that never rise above the noise, so that
    #: predictions are those of a contact that conducts. Where half of the curves are such, the film
    #: insulates, and they are learnt from in any case.
    spots: str = option("exclude", choices=("use", "exclude"))

    def descriptor(self, problem: Problem) -> DescriptorTargets:
        """The descriptor with the options of this part."""
        return DescriptorTargets(
            self.target or problem.target,
            problem.waveform,
            censored=self.censored == "bound",
            saturated=self.saturated == "use",
            dead_contacts=self.spots == "use",
        )

    def data(self, run: RunContext) -> TrainingData:
        """Values of the usable curves."""
        return run.targets()


@dataclass(frozen=True, kw_only=True)
class StandardAcquisition(Acquisition):
    """An acquisition of the target's posterior."""

    #: ``"max-uncertainty"`` (Liu2023), ``"ei"``, ``"log-ei"``, ``"ucb"``, ``"thompson"``,
    #: ``"integrated-variance"`` or ``"beacon"``.
    acquisition: str = option("max-uncertainty", choices=tuple(ACQUISITIONS))
    #: Whether ei, ucb and thompson look for large or for small values.
    goal: str = option("max", choices=("max", "min"))
    beta: float = option(2.0, low=0.0)  #: Weight of the uncertainty in ``ucb``
    #: Margin of ``ei`` and ``log-ei``, relative to the spread of the measured targets.
    xi: float = option(0.01, low=0.0)
    neighbours: int = option(10, low=1)  #: Number of nearest targets that count in ``beacon``

    def plan(self, run: RunContext) -> tuple[str, Callable[[Posterior], FloatArray]]:
        """The acquisition of that name."""
        return self.acquisition, ACQUISITIONS[self.acquisition]

    def settings(self) -> dict[str, Any]:
        """Options of the posterior."""
        sign = -1.0 if self.goal == "min" else 1.0
        return {"sign": sign, "beta": self.beta, "xi": self.xi, "neighbours": self.neighbours}
