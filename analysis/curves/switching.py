"""Descriptor of switching loops: trains of pulses whose response is read after each pulse, at rest.

Switching-spectroscopy piezoresponse force microscopy (Jesse, Baddorf & Kalinin, Appl. Phys. Lett. 88, 062908, 2006)
reads at rest, where the electrostatic part of the response is small. A task names it as it would a user's function.
"""

from itertools import pairwise

import numpy as np

from grainscout.records import FloatArray


def coercive_voltage(voltage: FloatArray, response: FloatArray) -> FloatArray:
    """Half the width (n,) of switching loops [V].

    Parameters
    ----------
    voltage : (samples,) array of float
        Pulses [V] that rise from the lowest to the highest and fall again, with rests at 0 V between them.
    response : (n, samples) array of float
        Responses in any unit. A loop that does not cross zero on both branches has no value, NaN.
    """
    on = np.abs(voltage) > 1e-3 * np.abs(voltage).max()
    ends = np.flatnonzero(on[:-1] & ~on[1:])  # last sample of each pulse
    starts = np.append(np.flatnonzero(~on[:-1] & on[1:]), len(on) - 1)
    rests = [(a + 1, starts[starts > a][0] + 1) for a in ends]
    read = np.stack([response[:, a:b].mean(axis=1) for a, b in rests], axis=1)
    crossed = np.full((2, len(response)), np.nan)  # voltages, rising and falling
    for k, (low, high) in enumerate(pairwise(voltage[ends])):
        branch, way = (0, 1.0) if high > low else (1, -1.0)
        before, after = way * read[:, k], way * read[:, k + 1]
        new = np.isnan(crossed[branch]) & (before < 0) & (after >= 0)
        crossed[branch, new] = low + (high - low) * (before / (before - after + 1e-300))[new]
    return np.asarray(0.5 * (crossed[0] - crossed[1]))
