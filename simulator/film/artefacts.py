"""Scan artefacts on the dilated surface.

Each has a switch, a random stream of its own and a log.

The fast axis runs along the columns, the slow one down the rows, one line after another.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates

from grainscout.records import FloatArray
from grainscout.simulator.film.spec import ScanSpec

NM = 1e-9

#: Names of the random streams that `image` needs.
STREAMS = ("drift", "lines", "jumps", "scars", "plane", "noise")


@dataclass(frozen=True, kw_only=True, eq=False)
class ScanTruth:
    """Parts of a measured image [m], which is shift(dilated) + line + scars + plane + noise."""

    dilated: FloatArray  # (rows, columns) surface as the tip sees it
    displacement: FloatArray  # (rows, 2) of the film when each line was taken
    line: FloatArray  # (rows,) offset of each line
    scars: FloatArray  # (rows, columns)
    plane: tuple[float, float]  # slopes along rows and columns, about the centre
    noise: FloatArray  # (rows, columns)


def image(
    dilated: FloatArray,
    pixel_size: tuple[float, float],
    spec: ScanSpec,
    streams: Mapping[str, np.random.Generator],
) -> tuple[FloatArray, ScanTruth]:
    """Measured image [m] of a dilated surface, and log."""
    rows, columns = dilated.shape
    displacement = NM * _drift(rows, spec, streams["drift"])
    line = NM * _lines(rows, spec, streams)
    scars = NM * _scars((rows, columns), pixel_size[1] / NM, spec, streams["scars"])
    span = (rows * pixel_size[0], columns * pixel_size[1])
    rise = spec.plane_nm * NM / np.sqrt(2) * streams["plane"].standard_normal(2)
    plane = (float(rise[0] / span[0]), float(rise[1] / span[1]))
    noise = spec.noise_nm * NM * streams["noise"].standard_normal((rows, columns))
    if spec.noise_length_nm > 0:
        width = spec.noise_length_nm / (pixel_size[1] / NM)
        # Squared, the kernel sums to 1 / (2 sqrt(pi) width) from a pixel up, and to 1 at most.
        noise = gaussian_filter1d(noise, width, axis=1) * np.sqrt(
            max(2 * np.sqrt(np.pi) * width, 1.0)
        )

    measured = dilated
    r, c = np.indices((rows, columns), sparse=True)
    if displacement.any():
        at = displacement / np.array(pixel_size)
        seen = np.broadcast_arrays(r - at[:, :1], c - at[:, 1:])
        # Beyond the frame the surface is not known; its mirror image stands in.
        measured = map_coordinates(dilated, seen, order=1, mode="mirror")
    measured = measured + line[:, None] + scars + noise
    if spec.plane_nm > 0:
        measured += plane[0] * pixel_size[0] * (r - (rows - 1) / 2)
        measured += plane[1] * pixel_size[1] * (c - (columns - 1) / 2)
    truth = ScanTruth(
        dilated=dilated, displacement=displacement, line=line, scars=scars, plane=plane, noise=noise
    )
    return measured, truth


def _drift(rows: int, spec: ScanSpec, rng: np.random.Generator) -> FloatArray:
    steady, walk = rng.standard_normal(2), rng.standard_normal((rows, 2))
    time = np.arange(rows)[:, None] / max(rows - 1, 1)
    wander = np.cumsum(walk, axis=0) / np.sqrt(rows)
    path: FloatArray = spec.drift_nm * steady * time + spec.drift_walk_nm * wander
    return path


def _lines(rows: int, spec: ScanSpec, streams: Mapping[str, np.random.Generator]) -> FloatArray:
    white, walk = streams["lines"].standard_normal((2, rows))
    rng = streams["jumps"]
    count = rng.poisson(spec.line_jumps)
    jumps = np.zeros(rows)
    np.add.at(jumps, rng.integers(0, rows, count), rng.standard_normal(count))
    offset: FloatArray = (
        spec.line_nm * white
        + spec.line_walk_nm * np.cumsum(walk)
        + spec.line_jump_nm * np.cumsum(jumps)
    )
    return offset


def _scars(
    shape: tuple[int, int], step: float, spec: ScanSpec, rng: np.random.Generator
) -> FloatArray:
    """Streaks along lines, from dirt or lost touch."""
    out = np.zeros(shape)
    for _ in range(rng.poisson(spec.scars)):
        row, start = (int(rng.integers(n)) for n in shape)
        length = max(1, round(float(rng.exponential(spec.scar_length_nm)) / step))
        out[row, start : start + length] += spec.scar_nm * float(rng.standard_normal())
    return out
