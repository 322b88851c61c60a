"""Checks that a microscope's answer fits its command."""

import numpy as np

from grainscout.records import IVCurve, MicroscopeError, Waveform

#: Nothing that a conductive AFM measures comes near this [A]; overflow codes (9.9e37) are above.
_OVERFLOW = 1.0


def largest_current(curve: IVCurve) -> float:
    """Return the largest absolute current [A]. 0 if all samples were lost."""
    return float(np.nanmax(np.abs(curve.current), initial=0.0))


def check_answer(curve: IVCurve, waveform: Waveform, *, seconds: float) -> None:
    """MicroscopeError if a curve that took `seconds` [s] cannot be the waveform's."""
    largest = largest_current(curve)
    problems = {
        f"{len(waveform)} samples; got {len(curve)}": len(curve) != len(waveform),
        "finite voltages; got a NaN or infinite one": not np.isfinite(curve.voltage).all(),
        f"currents of at most {_OVERFLOW:g} A; got {largest:g} A, which is an overflow code or "
        "another unit": largest > _OVERFLOW,
        f"no negative duration; the clock ran back by {-seconds:g} s": seconds < 0,
    }
    for problem, found in problems.items():
        if found:
            raise MicroscopeError(f"the microscope's curve must have {problem}")
