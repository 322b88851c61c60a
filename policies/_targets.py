"""Descriptors of measured curves as something to learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grainscout.analysis.descriptors import describe, find_descriptor
from grainscout.policies._ledger import Archive
from grainscout.policies._surrogate import Floats
from grainscout.records import Waveform


class DescriptorTargets:
    """One descriptor of an archive's curves; each curve is described once.

    censored, saturated : whether to learn from bounds, and from curves with samples at the rail.
    Raises ConfigError for an unknown descriptor.
    """

    def __init__(
        self, name: str, waveform: Waveform, *, censored: bool = True, saturated: bool = True
    ) -> None:
        find_descriptor(name)
        self.name, self._voltage = name, waveform.voltage
        self._censored, self._saturated = censored, saturated
        self._known: dict[tuple[bytes, bytes], tuple[float, float, bool]] = {}

    def of(self, archive: Archive) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Which curves can be learnt from (n,), and their targets and noise variances (m,)."""
        keys = [
            (current.tobytes(), saturated.tobytes())
            for current, saturated in zip(archive.current, archive.saturated, strict=True)
        ]
        for k, key in enumerate(keys):
            if key not in self._known:
                self._known[key] = self._describe(archive.current[k], archive.saturated[k])
        known = np.array([self._known[key] for key in keys], np.float64).reshape(-1, 3)
        use = known[:, 2] > 0
        return use, known[use, 0], known[use, 1] ** 2

    def _describe(self, current: Floats, saturated: NDArray[np.bool_]) -> tuple[float, float, bool]:
        """Value, standard error and whether to use it.

        One curve at a time: sums over a block may round otherwise than over one of its rows, and a
        restored run, which describes all its curves again, has to find the same bits.
        """
        found = describe(self.name, self._voltage, current[None], saturated[None])
        value, sigma = float(found.value[0]), float(found.sigma[0])
        use = bool(found.valid[0]) and np.isfinite(value)
        use = use and (self._censored or not found.censored[0])
        use = use and (self._saturated or not saturated.any())
        # A single clean curve may not show its noise; then the learnt noise stands alone.
        return value, sigma if np.isfinite(sigma) else 0.0, bool(use)
