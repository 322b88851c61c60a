"""Deep-kernel active learning of a named descriptor (S23, with a better engine)."""

from __future__ import annotations

from dataclasses import dataclass

from grainscout.policies.acquisition import ACQUISITIONS, Belief
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.strategies.model_policy import ModelPolicy, Targets
from grainscout.policies.validation import check_choice
from grainscout.records.arrays import IntArray


@dataclass(kw_only=True)
class DKL(ModelPolicy):
    """Learns the map of one descriptor from the image around each site, and measures accordingly.

    Options
    -------
    target : name of the descriptor; "" takes the problem's.
    acquisition : ``"max-uncertainty"`` (S23), ``"ei"``, ``"log-ei"``, ``"ucb"``, ``"thompson"``,
        ``"integrated-variance"`` or ``"beacon"``.
    goal : ``"max"``, or ``"min"`` if small values are what ei, ucb and thompson look for.
    censored : what to do with a curve whose descriptor is only known to lie beyond a bound (a spot
        that never turns on): ``"bound"`` learns the bound, ``"exclude"`` leaves the curve out.
    saturated : ``"use"`` or ``"exclude"`` curves with samples at the amplifier's rail.
    spots : ``"exclude"`` leaves dead spots out, curves that never rise above the noise, so that
        predictions are those of a contact that conducts; ``"use"`` learns from them, too.  Where
        half of the curves are such, the film insulates, and they are learnt from in any case.

    Curves whose descriptor is not valid, and failed measurements, are never learnt from.  The
    descriptor's own variance, times a learnt factor, is added to the learnt noise of each curve.
    """

    target: str = ""
    acquisition: str = "max-uncertainty"
    goal: str = "max"
    censored: str = "bound"
    saturated: str = "use"
    spots: str = "exclude"
    features: str = "structure"
    position: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("acquisition", self.acquisition, list(ACQUISITIONS))
        check_choice("goal", self.goal, ("max", "min"))
        check_choice("censored", self.censored, ("bound", "exclude"))
        check_choice("saturated", self.saturated, ("use", "exclude"))
        check_choice("spots", self.spots, ("use", "exclude"))

    def _acquisition(self) -> str:
        return self.acquisition

    def _target(self) -> DescriptorTargets:
        return DescriptorTargets(
            self.target or self.problem.target,
            self.problem.waveform,
            censored=self.censored == "bound",
            saturated=self.saturated == "use",
            spots=self.spots == "use",
        )

    def _data(self) -> Targets:
        use, y, noise = self._described.of(self.archive)
        return self._archive_rows()[use], y, noise

    def _belief(self, open_: IntArray) -> Belief:
        belief = super()._belief(open_)
        if self.goal == "min":
            belief.mean, belief.measured, belief.sign = -belief.mean, -belief.measured, -1.0
        return belief
