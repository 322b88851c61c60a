"""Sweeps as the Asylum software saved them, put on the waveform that was asked for."""

import numpy as np

from grainscout.analysis.formats import Traces
from grainscout.records import IVCurve, MicroscopeError, Waveform


def fitted(traces: Traces, waveform: Waveform, rail: float) -> IVCurve:
    """Pick the recorded samples nearest in time to the waveform's. None is invented.

    MicroscopeError if bias or current is missing, the sweep has another length or fewer samples, or its bias
    is more than 1 % of the peak off. It records faster than asked for, with NaN around the sweep.
    """
    bias = next((v for n, v in traces.channels.items() if n.startswith(("Bias", "Volt"))), None)
    current = next((v for n, v in traces.channels.items() if traces.units.get(n) == "A"), None)
    if bias is None or current is None:
        raise MicroscopeError(
            f"the saved curve must have a Bias and a Current; got {', '.join(traces.channels)}. Select "
            "them for saving in the DoIV panel"
        )
    during = np.flatnonzero(np.isfinite(bias))
    if during.size < len(waveform) or (np.diff(during) != 1).any():
        raise MicroscopeError(
            f"the saved sweep must have at least {len(waveform)} samples in one piece; got "
            f"{during.size} of {bias.size} with a bias. Raise the sampling rate"
        )
    clock = traces.time[during] - traces.time[during[0]]
    step = clock[1] - clock[0]
    wanted = waveform.time - waveform.time[0]
    if abs(clock[-1] - waveform.duration) > 0.02 * waveform.duration + step:
        raise MicroscopeError(
            f"the saved sweep must take {waveform.duration:g} s; it took {clock[-1]:g} s"
        )
    picked = np.clip(np.rint(wanted / step).astype(np.int64), 0, during.size - 1)
    volts, amperes = bias[during][picked], current[during][picked]
    off = float(np.abs(volts - waveform.voltage).max())
    allowed = 0.01 * waveform.peak + waveform.slew * step
    if (np.diff(picked) < 1).any() or not off <= allowed:
        raise MicroscopeError(
            f"the saved bias must follow the waveform within {allowed:.3g} V; it was {off:.3g} V off. "
            "Check function, cycles and offset in the DoIV panel"
        )
    return IVCurve(
        voltage=volts,
        current=amperes,
        time=clock[picked],
        saturated=np.abs(amperes) >= 0.999 * rail,
    )
