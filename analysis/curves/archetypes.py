"""Loop archetypes: club, heart, diamond, or insulating.

Gong et al. 2026 name the shapes by the voltages of their opening. A club opens between 0.5 and
1.0 V, a heart at low bias and again between 0.7 and 1.3 V, and a diamond between 1.3 and 1.5 V.

A curve is insulating if it spans less than 15 pA. Of the others, a small network tells the archetype
from both branches. It was trained over kinds of film, light, temperature, sweep time, noise, rails and
the barriers of junctions (decision 0304), so that a heart that opens late in the dark is a heart.
All archetypes had equal chances: multiply a probability by what you know of the place.

Training used 0 to 1.5 V triangles of about a second. Other sweeps that reach both ends of that range
are accepted, but ions respond to the sweep time.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grainscout.analysis.curves.block import Curves, Flag
from grainscout.analysis.curves.descriptors import check_curves
from grainscout.analysis.curves.sweep import Sweep, running_mean, weighted
from grainscout.records import BoolArray, FloatArray

#: Names of the indices that `classify` returns; `UNKNOWN` is a curve without evidence.
ARCHETYPE_NAMES = ("club", "heart", "diamond", "insulating")
UNKNOWN = 255
VERSION = 3

#: The voltages [V] a sweep must cover, and where low bias ends.
NEEDED, LOW_BIAS = (0.1, 1.4), 0.42
#: A contact conducts if its current spans more than this [A] and more than these noise widths.
CONDUCTS, CONDUCTS_WIDTHS = 15e-12, 8.0
_SMOOTH = 5  # samples in the running mean of the opening
_OPEN_WIDTHS = 4.0  # noise widths that an opening must exceed to count
#: Voltages [V] at which the network sees both branches.
_SEEN = np.linspace(0.0, 1.47, 36)
_NOISES = 1e-13, 1e-11  # that training met [A]
_BLOCK = 1024
_LOBES = ("area", "low_share", "centre", "first", "last")


@dataclass(frozen=True, kw_only=True, eq=False)
class Lobes:
    """Openings of n loops, NaN where nothing opens."""

    area: FloatArray  #: Integral of the opening [A V], (n,)
    low_share: FloatArray  #: Signed part of the area below 0.42 V, 0 to 1, (n,)
    centre: FloatArray  #: Voltage [V] at the centre of the opening above 0.42 V, (n,)
    #: first, last: Voltages [V] between which the opening exceeds a tenth of its maximum, (n,)
    first: FloatArray
    last: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Classification:
    """Archetypes of n curves."""

    archetype: NDArray[np.uint8]  #: Index into `ARCHETYPE_NAMES`, or `UNKNOWN`, (n,)
    confidence: FloatArray  #: Its probability, 0.25 (a guess) to 1, and 0 for `UNKNOWN`, (n,)
    probability: FloatArray  #: Probability of each archetype, (n, 4)
    lobes: Lobes  #: The evidence


def classify(
    voltage: ArrayLike, current: ArrayLike, saturated: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Classify curves (n,) by index, see `classification`."""
    return classification(voltage, current, saturated).archetype


def classification(
    voltage: ArrayLike, current: ArrayLike, saturated: ArrayLike | None = None
) -> Classification:
    """Classify curves and give the confidence.

    Parameters
    ----------
    voltage : (samples,) array of float
        Voltage [V] in the order of time.
    current : (n, samples) array of float
        Current [A].
    saturated : (n, samples) array of bool, optional
        True at the amplifier's rail.

    Raises
    ------
    DataError
        For shapes that do not fit.

    Notes
    -----
    `UNKNOWN` are curves without a reverse branch or that do not cover 0.1 to 1.4 V, and those with
    too many lost samples or wholly at a rail.
    """
    sweep, data, mask = check_curves(voltage, current, saturated)
    parts = [
        _block(sweep, data[at : at + _BLOCK], None if mask is None else mask[at : at + _BLOCK])
        for at in range(0, max(len(data), 1), _BLOCK)
    ]
    probability = np.concatenate([part[0] for part in parts])
    known = probability.any(axis=1)
    archetype = np.where(known, probability.argmax(axis=1), UNKNOWN).astype(np.uint8)
    columns = np.concatenate([part[1] for part in parts], axis=1)
    return Classification(
        archetype=archetype,
        confidence=probability.max(axis=1),
        probability=probability,
        lobes=Lobes(**dict(zip(_LOBES, columns, strict=True))),
    )


def _block(
    sweep: Sweep, current: FloatArray, saturated: BoolArray | None
) -> tuple[FloatArray, FloatArray]:
    """Probabilities (n, 4), zero if unknown, and the lobes (5, n)."""
    n = len(current)
    if not (sweep.is_loop and sweep.covers(*NEEDED)):
        return np.zeros((n, 4)), np.full((5, n), np.nan)
    curves = Curves(sweep, current, saturated)
    noise = curves.noise
    shares = _network(shape_of(curves))

    smooth = running_mean(curves.current, _SMOOTH)
    width = np.fmax(noise, 0.0) * CONDUCTS_WIDTHS / np.sqrt(_SMOOTH)
    span = np.ptp(smooth, axis=1)
    scale = np.fmax(np.fmax(CONDUCTS, width), 1e-300)
    conducts = 1.0 / (1.0 + np.fmin(scale / np.fmax(span, 1e-300), 1e3) ** 4)
    probability = np.column_stack([shares * conducts[:, None], 1.0 - conducts])
    if curves.saturated is not None:
        probability[curves.saturated.all(axis=1)] = 0.0
    probability[(curves.flags & Flag.LOST) != 0] = 0.0
    return probability, _lobes(curves)


def _lobes(curves: Curves) -> FloatArray:
    """Numbers (5, n) of `_LOBES` for the opening above the noise."""
    sweep = curves.sweep
    half = _SMOOTH // 2
    opening = running_mean(curves.opening, _SMOOTH)
    grid = sweep.grid[half:-half]
    weights = sweep.integral(float(sweep.grid[0]), float(sweep.grid[-1]))[half:-half]
    limit = _OPEN_WIDTHS * np.fmax(curves.noise, 0.0) * np.sqrt(2 / _SMOOTH)
    size = np.abs(opening)
    peak = size.max(axis=1)
    # Slow residues under a fiftieth of the peak are no opening either.
    size[size <= np.fmax(limit, 0.02 * peak)[:, None]] = 0.0
    size[~curves.usable] = 0.0
    low, main = grid < LOW_BIAS, grid >= LOW_BIAS
    # At low bias the signed opening is taken, so that its noise averages out.
    below = np.fmax(weighted(opening[:, low], weights[low]), 0.0)
    below[~curves.usable] = 0.0
    above = weighted(size[:, main], weights[main])
    area = below + above
    with np.errstate(divide="ignore", invalid="ignore"):
        share = below / area
        centre = weighted(size[:, main], weights[main] * grid[main]) / above
    tall = size[:, main] >= np.fmax(0.1 * size[:, main].max(axis=1, keepdims=True), 1e-300)
    some = tall.any(axis=1)
    first = np.where(some, grid[main][tall.argmax(axis=1)], np.nan)
    last = np.where(some, grid[main][::-1][tall[:, ::-1].argmax(axis=1)], np.nan)
    return np.vstack([area, share, centre, first, last])


def shape_of(curves: Curves) -> FloatArray:
    """Both branches (n, 75) of a loop as the network sees them, and the logarithms of span, rail and noise.

    Currents are taken relative to their largest and compressed, so that a photocurrent of a few
    per cent shows beside it. Samples between the voltages that are seen are averaged.
    """
    sweep, seen = curves.sweep, np.clip(_SEEN, curves.sweep.grid[0], curves.sweep.grid[-1])
    right = np.clip(np.searchsorted(sweep.grid, seen), 1, sweep.grid.size - 1)
    part = (seen - sweep.grid[right - 1]) / (sweep.grid[right] - sweep.grid[right - 1])
    half = int(0.5 * (_SEEN[1] - _SEEN[0]) / np.diff(sweep.grid).mean())
    top = np.fmax(np.abs(curves.current).max(axis=1, keepdims=True), 1e-15)
    parts = []
    for branch in curves.branches:
        wide = running_mean(np.pad(branch, ((0, 0), (half, half)), mode="edge"), 2 * half + 1)
        read = wide[:, right - 1] * (1 - part) + wide[:, right] * part
        parts.append(np.arcsinh(50.0 * read / top) / 4.0)
    railed = 0.0 if curves.saturated is None else curves.saturated.mean(axis=1, keepdims=True)
    noise = np.log10(np.clip(np.nan_to_num(curves.noise), *_NOISES))[:, None] + 12.0
    return np.hstack([*parts, np.log10(top) + 9.0, np.broadcast_to(railed, top.shape), noise])


@lru_cache(maxsize=1)
def _weights() -> dict[str, FloatArray]:
    """Weights that ``benchmarks/studies/archetypes.py`` trained."""
    path = files("grainscout.analysis.curves") / "weights/archetypes.npz"
    with path.open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}


def _network(shape: FloatArray) -> FloatArray:
    """Probabilities (n, 3) of club, heart and diamond at equal chances."""
    w = _weights()
    x = (shape - w["mean"]) / w["scale"]
    for k in range(3):
        # Not a matrix product: a curve's result must not depend on its company.
        x = np.stack([weighted(x, row) for row in w[f"weight{k}"]], axis=1) + w[f"bias{k}"]
        if k < 2:
            np.tanh(x, out=x)
    shares = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
