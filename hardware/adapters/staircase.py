"""A sweep point by point, for meters that are told each voltage."""

import time
from collections.abc import Callable

import numpy as np

from grainscout.records import IVCurve, MicroscopeError, Waveform


def staircase(
    waveform: Waveform,
    source: Callable[[float], None],
    read: Callable[[], tuple[float, bool]],
    *,
    lag: float,
) -> IVCurve:
    """Source each voltage at its time and read a current [A], and whether it is saturated.

    MicroscopeError once a sample is later than `lag` times the sweep: a slower one is another measurement.
    """
    times: list[float] = []
    readings: list[tuple[float, bool]] = []
    begun = time.monotonic()
    for volts, due in zip(waveform.voltage, waveform.time - waveform.time[0], strict=True):
        time.sleep(max(0.0, begun + due - time.monotonic()))
        late = time.monotonic() - begun - due
        if late > lag * waveform.duration:
            raise MicroscopeError(
                f"the sweep must take {waveform.duration:g} s; the meter is {late:.3g} s late after "
                f"{len(times)} of {len(waveform)} samples. Use fewer samples, a longer sweep or a shorter "
                "integration"
            )
        source(float(volts))
        readings.append(read())
        times.append(time.monotonic() - begun)
    currents, flags = zip(*readings, strict=True)
    return IVCurve(
        voltage=waveform.voltage,
        current=np.array(currents),
        time=np.array(times),
        saturated=np.array(flags),
    )
