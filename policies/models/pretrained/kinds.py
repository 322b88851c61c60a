"""What the pretrained surrogate is told of a target: its descriptor, the sweep and the light."""

import numpy as np
from numpy.typing import NDArray

from grainscout.records import Waveform

#: Descriptors that it was trained to know. Any other one is found by the data alone.
KNOWN = (
    "turn_on", "turn_on_start", "turn_on_fraction", "loop_area", "hysteresis", "hysteresis_signed",
    "loop_0.5_1.0", "loop_0.7_1.3", "loop_1.3_1.5", "max_current", "log_max_current",
    "rectification", "zero_bias_current", "conductance",
)  # fmt: skip
#: Length of the vector of a kind.
KIND = len(KNOWN) + 4
_USUAL_PEAK, _BOTH_SIDES = 1.5, 0.2  # [V]; share of the peak that the other side must reach


def kind_of(descriptor: str, waveform: Waveform, light: float) -> NDArray[np.float32]:
    """(KIND,) which descriptor, light or dark, peak, sides and duration. Zeros if it is not known."""
    kind = np.zeros(KIND, np.float32)
    if descriptor not in KNOWN:
        return kind
    low, high = float(waveform.voltage.min()), float(waveform.voltage.max())
    peak, other = (high, -low) if high >= -low else (low, high)
    kind[KNOWN.index(descriptor)] = 1.0
    kind[len(KNOWN) :] = (
        light > 0,
        peak / _USUAL_PEAK,
        other > _BOTH_SIDES * abs(peak),
        np.log(waveform.time[-1] - waveform.time[0]),
    )
    return kind
