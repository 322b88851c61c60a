"""Descriptors of measured curves as something to learn."""

from dataclasses import dataclass

import numpy as np

from grainscout.analysis.curves.archetypes import CONDUCTS, CONDUCTS_WIDTHS
from grainscout.analysis.curves.descriptors import describe, find_descriptor
from grainscout.policies.observations import Observations
from grainscout.records import BoolArray, FloatArray, Waveform
from grainscout.records.noise import robust_noise


@dataclass(frozen=True)
class DescriptorTargets:
    """One descriptor of the measured curves."""

    name: str  #: Name of the descriptor. ConfigError if there is none.
    waveform: Waveform  #: Waveform of the curves
    #: censored, saturated: Learn from bounds, and from curves with samples at the rail.
    censored: bool = True
    saturated: bool = True
    #: Learn from dead contacts (see `at_floor`). They are learnt from in any case where they are
    #: half of the curves or more, for then the film insulates and not a contact.
    dead_contacts: bool = False

    def __post_init__(self) -> None:
        find_descriptor(self.name)

    def of(self, observations: Observations) -> tuple[BoolArray, FloatArray, FloatArray]:
        """Usable curves (n,), and their targets and noise variances (m,)."""
        curves = observations.each(f"target {self.name}", self._describe)
        value, sigma, valid, bound, railed, dead = np.array(curves, np.float64).reshape(-1, 6).T
        use = valid > 0
        if not self.censored:
            use &= bound == 0
        if not self.saturated:
            use &= railed == 0
        if not self.dead_contacts and 2 * (use & (dead > 0)).sum() < use.sum():
            use &= dead == 0
        return use, value[use], sigma[use] ** 2

    def _describe(
        self, current: FloatArray, saturated: BoolArray
    ) -> tuple[float, float, bool, bool, bool, bool]:
        """Value, standard error. Whether valid, a bound, at the rail and of a dead contact.

        One curve at a time: sums over a block may round otherwise, and a restored run has to find the same bits.
        """
        curve = describe(self.name, self.waveform.voltage, current[None], saturated[None])
        value, sigma = float(curve.value[0]), float(curve.sigma[0])
        return (
            value,
            sigma if np.isfinite(sigma) else 0.0,  # a clean curve may not show its noise
            bool(curve.valid[0]) and bool(np.isfinite(value)),
            bool(curve.censored[0]),
            bool(saturated.any()),
            bool(at_floor(current[None])[0]),
        )


def at_floor(current: FloatArray) -> BoolArray:
    """(n,) True where a curve spans less than 15 pA, or than noise alone gives: a dead contact."""
    if current.shape[1] < 7:
        return np.zeros(len(current), bool)
    noise = robust_noise(current, 2)
    smooth = np.lib.stride_tricks.sliding_window_view(current, 5, axis=1).mean(-1)
    span = np.nanmax(smooth, axis=1) - np.nanmin(smooth, axis=1)
    return np.asarray(span < np.maximum(CONDUCTS, CONDUCTS_WIDTHS * noise / np.sqrt(5.0)))
