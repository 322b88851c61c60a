"""First-order reversal curves and their loop density.

A family of triangles with growing peaks gives the current I(Vr, V) on the way back from each
reversal Vr. The density -1/2 d2I / dVr dV is zero where the way back does not depend on the
reversal. It peaks where charge or ions switch.

References
----------
Pike, Roberts and Verosub 1999, J. Appl. Phys. 85, 6660: second-order least squares over a window.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grainscout.analysis.curves.sweep import read_sweep
from grainscout.records import ConfigError, DataError, FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Forc:
    """Reversal family of n sites."""

    reversal: FloatArray  #: Reversal voltages [V], rising, (k,)
    voltage: FloatArray  #: Common voltage axis [V], (m,)
    #: Current on the way back [A], NaN where the branch does not reach, (n, k, m)
    current: FloatArray
    density: FloatArray  #: FORC density [A/V^2], NaN where its window is incomplete, (n, k, m)


def forc_density(
    voltage: ArrayLike, current: ArrayLike, *, smoothing: int = 1, samples: int = 64
) -> Forc:
    """Compute way-back currents and FORC densities.

    Parameters
    ----------
    voltage : (s,) array of float
        FORC waveform [V].
    current : (n, s) array of float
        Current [A] along it.
    smoothing : int
        Half-width of the square window, in reversals and in voltage samples.
    samples : int
        Length of the common voltage axis.

    Raises
    ------
    DataError
        For fewer than 2 smoothing + 1 triangles.
    ConfigError
        For a window that is too small or too large.
    """
    if smoothing < 1 or samples < 2 * smoothing + 1:
        raise ConfigError(f"smoothing must be >= 1 and below half of samples; got {smoothing}")
    sweep = read_sweep(np.asarray(voltage, dtype=np.float64))
    data = np.atleast_2d(np.asarray(current, dtype=np.float64))
    if data.shape[1] != sweep.voltage.size:
        raise DataError(
            f"current must be an (n, {sweep.voltage.size}) array [A]; got shape {data.shape}"
        )
    back = [(a, b) for a, b in sweep.pieces if abs(sweep.voltage[b]) < abs(sweep.voltage[a])]
    if len(back) < 2 * smoothing + 1:
        raise DataError(
            f"a reversal family must have at least {2 * smoothing + 1} triangles; got {len(back)}. "
            "Use Waveform.forc with more branches, or less smoothing"
        )
    reversal = np.array([sweep.voltage[a] for a, _ in back])
    order = np.argsort(reversal)
    base = float(np.median([sweep.voltage[b] for _, b in back]))
    far = reversal[np.abs(reversal - base).argmax()]
    axis = np.sort(np.linspace(base, far, samples))
    branches = np.full((len(data), len(back), samples), np.nan)
    for row, k in enumerate(order):
        a, b = back[k]
        piece = np.arange(a, b + 1)
        at = sweep.voltage[piece]
        piece, at = (piece, at) if at[-1] > at[0] else (piece[::-1], at[::-1])
        inside = (axis >= at[0] - 1e-12) & (axis <= at[-1] + 1e-12)
        left = np.clip(np.searchsorted(at, axis[inside], side="right") - 1, 0, at.size - 2)
        part = np.clip((axis[inside] - at[left]) / (at[left + 1] - at[left]), 0.0, 1.0)
        values = data[:, piece]
        branches[:, row, inside] = values[:, left] * (1 - part) + values[:, left + 1] * part
    return Forc(
        reversal=reversal[order],
        voltage=axis,
        current=branches,
        density=_mixed_derivative(branches, reversal[order], axis, smoothing) * -0.5,
    )


def _mixed_derivative(
    branches: FloatArray, reversal: FloatArray, axis: FloatArray, half: int
) -> FloatArray:
    """d2I/dVr dV by least squares over square windows."""
    _, k, m = branches.shape
    result, side = np.full_like(branches, np.nan), 2 * half + 1
    y = axis[:side] - axis[half]
    for i in range(half, k - half):
        rows = slice(i - half, i + half + 1)
        x = reversal[rows] - reversal[i]
        sx, sy = np.abs(x).max(), np.abs(y).max()
        u, v = (part.ravel() for part in np.meshgrid(x / sx, y / sy, indexing="ij"))
        design = np.column_stack([np.ones(u.size), u, v, u * u, v * v, u * v])
        weights = np.linalg.pinv(design)[5].reshape(side, side) / (sx * sy)
        windows = np.lib.stride_tricks.sliding_window_view(branches[:, rows], side, axis=2)
        result[:, i, half : m - half] = np.einsum("nrmc,rc->nm", windows, weights)
    return result
