"""Descriptors of measured curves as something to learn."""

from __future__ import annotations

import numpy as np

from grainscout.analysis.curves.archetypes import CONDUCTS, CONDUCTS_WIDTHS
from grainscout.analysis.curves.descriptors import describe, find_descriptor
from grainscout.policies.observations import Archive
from grainscout.records import Waveform
from grainscout.records.arrays import BoolArray, FloatArray


class DescriptorTargets:
    """One descriptor of an archive's curves; each curve is described once.

    censored, saturated : whether to learn from bounds, and from curves with samples at the rail.
    spots : whether to learn from dead spots (see `at_floor`); they are learnt from in any case where
    they are half of the curves or more, for then the film insulates and not a spot.
    Raises ConfigError for an unknown descriptor.
    """

    def __init__(
        self,
        name: str,
        waveform: Waveform,
        *,
        censored: bool = True,
        saturated: bool = True,
        spots: bool = False,
    ) -> None:
        find_descriptor(name)
        self.name, self._voltage = name, waveform.voltage
        self._censored, self._saturated, self._spots = censored, saturated, spots
        self._known: dict[tuple[bytes, bytes], tuple[float, float, bool, bool]] = {}

    def of(self, archive: Archive) -> tuple[BoolArray, FloatArray, FloatArray]:
        """Which curves can be learnt from (n,), and their targets and noise variances (m,)."""
        keys = [
            (current.tobytes(), saturated.tobytes())
            for current, saturated in zip(archive.current, archive.saturated, strict=True)
        ]
        for k, key in enumerate(keys):
            if key not in self._known:
                self._known[key] = self._describe(archive.current[k], archive.saturated[k])
        known = np.array([self._known[key] for key in keys], np.float64).reshape(-1, 4)
        use, dead = known[:, 2] > 0, known[:, 3] > 0
        if not self._spots and 2 * (use & dead).sum() < use.sum():
            use &= ~dead
        return use, known[use, 0], known[use, 1] ** 2

    def _describe(
        self, current: FloatArray, saturated: BoolArray
    ) -> tuple[float, float, bool, bool]:
        """Value, standard error, whether to use it, and whether it is a dead spot's.

        One curve at a time: sums over a block may round otherwise than over one of its rows, and a
        restored run, which describes all its curves again, has to find the same bits.
        """
        found = describe(self.name, self._voltage, current[None], saturated[None])
        value, sigma = float(found.value[0]), float(found.sigma[0])
        use = bool(found.valid[0]) and np.isfinite(value)
        use = use and (self._censored or not found.censored[0])
        use = use and (self._saturated or not saturated.any())
        # A single clean curve may not show its noise; then the learnt noise stands alone.
        dead = bool(at_floor(current[None])[0])
        return value, sigma if np.isfinite(sigma) else 0.0, bool(use), dead


def at_floor(current: FloatArray) -> BoolArray:
    """(n,) True where a curve (n, samples) [A] does not rise above the noise: a dead spot.

    Its span, after a running mean of five samples, is below 15 pA or below what noise alone gives
    (the limits of ``analysis.archetypes``).  The noise is that of the second differences.
    """
    if current.shape[1] < 7:
        return np.zeros(len(current), bool)
    bends = np.diff(current, n=2, axis=1)
    noise = np.nanmedian(np.abs(bends), axis=1) / (0.6745 * np.sqrt(6.0))
    smooth = np.lib.stride_tricks.sliding_window_view(current, 5, axis=1).mean(-1)
    span = np.nanmax(smooth, axis=1) - np.nanmin(smooth, axis=1)
    return np.asarray(span < np.maximum(CONDUCTS, CONDUCTS_WIDTHS * noise / np.sqrt(5.0)))
