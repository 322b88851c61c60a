"""Descriptors of switching loops: trains of pulses whose response is read after each pulse, at rest.

Switching-spectroscopy piezoresponse force microscopy (Jesse, Baddorf & Kalinin, Appl. Phys. Lett. 88, 062908, 2006)
reads at rest, where the electrostatic part of the response is small. A task names a function of this module as
its target, as it would one of a user's: ``grainscout.analysis.curves.switching:coercive_voltage [V]``.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from grainscout.records.arrays import FloatArray


def coercive_voltage(voltage: FloatArray, response: FloatArray) -> FloatArray:
    """Half the width (n,) of switching loops [V].

    Parameters
    ----------
    voltage : (samples,) array of float
        Pulses [V] that rise from the lowest to the highest and fall again, with rests at 0 V between them.
    response : (n, samples) array of float
        Responses in any unit. A loop that does not cross zero on both branches has no value, NaN.
    """
    rising, falling = _crossings(voltage, response)
    return 0.5 * (rising - falling)


def imprint(voltage: FloatArray, response: FloatArray) -> FloatArray:
    """Centre (n,) of switching loops [V]. Arguments are those of `coercive_voltage`."""
    rising, falling = _crossings(voltage, response)
    return 0.5 * (rising + falling)


def _crossings(voltage: FloatArray, response: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Voltages (n,) of the pulses that bring the response at rest to zero, rising and falling."""
    on = np.abs(voltage) > 1e-3 * np.abs(voltage).max()
    ends = np.flatnonzero(on[:-1] & ~on[1:])  # last sample of each pulse
    starts = np.append(np.flatnonzero(~on[:-1] & on[1:]), len(on) - 1)
    rests = [(a + 1, starts[starts > a][0] + 1) for a in ends]
    read = np.stack([response[:, a:b].mean(axis=1) for a, b in rests], axis=1)
    level = voltage[ends]
    found = np.full((2, len(response)), np.nan)
    for k, (low, high) in enumerate(pairwise(level)):
        branch = 0 if high > low else 1
        before, after = read[:, k] * (1 - 2 * branch), read[:, k + 1] * (1 - 2 * branch)
        new = np.isnan(found[branch]) & (before < 0) & (after >= 0)
        share = before[new] / (before[new] - after[new])
        found[branch, new] = low + share * (high - low)
    return found[0], found[1]
