"""Settings of films in the likeness of a measured image."""

from dataclasses import replace

import numpy as np

from grainscout.records import FloatArray
from grainscout.simulator.film.film import Film
from grainscout.simulator.film.spec import FilmSpec

_HEIGHTS = ("dome_nm", "dome_sd_nm", "undulation_nm", "groove_depth_nm", "roughness_nm", "tilt")
_WIDTHS = ("flank_nm", "groove_width_nm", "rolloff_nm")


def spec_like(film: Film, largest: int = 128) -> FilmSpec:
    """Settings of new films with the grains, relief and noise of one on a measured image."""
    area, (rows, columns) = film.structure.grains["area"], film.shape
    spec = replace(film.spec, rows=min(rows, largest), columns=min(columns, largest))
    size = np.log(np.sqrt(4.0 * area[area > 0] / np.pi) / 1e-9)
    spread = min(1.4826 * float(np.median(np.abs(size - np.median(size)))), 0.5)
    # As many lognormal grains as there are on an area.
    mean = float(np.sqrt(np.exp(2.0 * size).mean()) * np.exp(-0.5 * spread**2))
    wider = mean / FilmSpec().grains.mean_nm
    grains = replace(spec.grains, mean_nm=mean, ln_sd=spread, warp_nm=min(25.0, 0.05 * mean))
    widths = {name: getattr(spec.topography, name) * wider for name in _WIDTHS}
    quiet = replace(spec.scan, noise_nm=0.0, line_nm=0.0, line_walk_nm=0.0, plane_nm=0.0)
    drawn = replace(spec, grains=grains, topography=replace(spec.topography, **widths), scan=quiet)
    # The relief is in proportion to these settings, so that one drawing shows the factor.
    wanted = _sizes(film.scan().height)
    higher = wanted[0] / _drawn(drawn)[0]
    heights = {name: float(getattr(spec.topography, name) * higher) for name in _HEIGHTS}
    heights["tilt"] = min(heights["tilt"], 1.0)
    drawn = replace(drawn, topography=replace(drawn.topography, **heights))
    pairs = zip(wanted[1:], _drawn(drawn)[1:], strict=True)
    noise, line = (float(np.sqrt(max(a * a - b * b, 0.0))) for a, b in pairs)
    return replace(drawn, scan=replace(quiet, noise_nm=noise, line_nm=line))


def _drawn(spec: FilmSpec) -> FloatArray:
    """The sizes of two films of these settings, mean."""
    made = [_sizes(Film.generate(spec, seed).scan().height) for seed in (0, 1)]
    return np.asarray(np.mean(made, axis=0))


def _sizes(height: FloatArray) -> tuple[float, float, float]:
    """Robust rms [nm] of the levelled relief, of what differs between pixels, and between lines."""
    rows, columns = (np.linspace(-1.0, 1.0, n) for n in height.shape)
    tilt = np.stack(
        [np.ones(height.size), np.repeat(rows, len(columns)), np.tile(columns, len(rows))]
    )
    relief = height.ravel() - tilt.T @ np.linalg.lstsq(tilt.T, height.ravel(), rcond=None)[0]
    pixel = np.diff(height, 2, axis=1) / np.sqrt(6.0)
    lines = np.diff(np.median(np.diff(height, axis=0), axis=1)) / np.sqrt(6.0)
    noise, line = (1.4826 * np.median(np.abs(x - np.median(x))) for x in (pixel, lines))
    return 1e9 * float(relief.std()), 1e9 * float(noise), 1e9 * float(line)
