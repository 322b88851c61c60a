"""What the pretrained surrogate is told of each pixel: the reading of its structure, and the relief."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from grainscout.microstructure.features import structure_features
from grainscout.policies.models.features import feature_table
from grainscout.records import FloatArray, IntArray, Scan

#: Readings that are used, those whose uncertainty is, and those that are also used smoothed, for a
#: tip that has drifted lands beside its site.
READ = ("boundary", "junction", "club", "heart", "diamond", "strength", "contact")
DOUBTED = ("boundary", "junction", "diamond", "strength")
SMOOTHED = ("boundary", "junction", "diamond", "contact")
_SMOOTH = 1.2  # [pixels]
_UNIT = 100e-9  # of places [m]
_FLOOR = 1e-12  # current that an image is taken to resolve [A]


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Inputs (pixels, d), and what ties pixels together: grain, boundary (pixels,), place (pixels, 2)."""

    x: NDArray[np.float32]
    grain: IntArray
    boundary: IntArray
    place: FloatArray


def make_inputs(
    scan: Scan, maps: Mapping[str, FloatArray], sd: Mapping[str, FloatArray], *, current: bool
) -> Inputs:
    """Inputs of every pixel from the reading of a scan, with those of its current image if asked."""
    pixel = float(np.sqrt(scan.pixel_size[0] * scan.pixel_size[1]))
    columns = [maps[name] for name in READ]
    columns += [np.log(maps[name] + 0.01) for name in ("boundary", "junction", "diamond")]
    columns += [sd[name] for name in DOUBTED]
    columns += [ndimage.gaussian_filter(maps[name], _SMOOTH, mode="mirror") for name in SMOOTHED]
    # As in training, whatever the image is: one image, and the current where the network knows it.
    shown = {
        n: scan.channels[n]
        for n in ("grains", *(["current"] if current else []))
        if n in scan.channels
    }
    alike = replace(scan, channels={"height": scan.image, **shown}, units={})
    found = structure_features(alike)
    size = 10.0**found.grain_size * pixel**2
    columns += [np.log1p(found.boundary), np.log(size / _UNIT**2)]
    columns.append(np.full(scan.shape, np.log(pixel / 20e-9)))
    pair = np.sort(np.stack([found.label.ravel(), found.across.ravel()], axis=1), axis=1)
    if current:
        columns += _current_features(scan.channel("current"))
    relief = feature_table(alike, kind="structure", flat=True)
    stacked = np.stack([np.asarray(c, np.float32).ravel() for c in columns], axis=1)
    rows, cols = np.indices(scan.shape)
    steps = np.array(scan.pixel_size) / _UNIT
    place = np.column_stack([rows.ravel(), cols.ravel()]).astype(np.float64) * steps
    return Inputs(
        x=np.hstack([stacked, 4.0 * relief]),
        grain=found.label.ravel(),
        boundary=np.unique(pair, axis=0, return_inverse=True)[1].ravel(),
        place=place,
    )


def _current_features(image: FloatArray) -> list[FloatArray]:
    """The logarithm of a current image, robustly scaled, at several widths."""
    log = np.log10(np.abs(np.nan_to_num(image)) + _FLOOR)
    middle = np.median(log)
    log = np.clip((log - middle) / (0.05 + 1.4826 * np.median(np.abs(log - middle))), -12.0, 6.0)
    fine, mid, coarse = (ndimage.gaussian_filter(log, s, mode="mirror") for s in (1.0, 2.0, 5.0))
    return [0.5 * c for c in (log, fine, mid, coarse, log - fine, fine - mid)]
