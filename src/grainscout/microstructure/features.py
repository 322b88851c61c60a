"""Maps of the microstructure that policies learn from.

Everything is estimated from the image. The truth of a simulated film is never used.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, gaussian_laplace

from grainscout.microstructure.from_image import find_structure
from grainscout.microstructure.reader import relief_of
from grainscout.microstructure.spec import SegmentationSpec
from grainscout.microstructure.structure import Structure
from grainscout.records import FloatArray, IntArray, Scan


@dataclass(frozen=True, kw_only=True, eq=False)
class StructureFeatures:
    """Maps of the scan's shape; lengths in pixels, heights in deviations of the image."""

    label: IntArray  #: Grain, 0, 1, ..
    across: IntArray  #: Grain beyond the nearest boundary; the own one where there is no boundary
    #: boundary, junction: Distance to the nearest boundary pixel and to the nearest junction. A
    #: boundary pixel has 0. Without any it is the image's diagonal.
    boundary: FloatArray
    junction: FloatArray
    #: Logarithm of the width of this side's flank of the nearest boundary over the other side's. 0
    #: where a flank is unclear.
    asymmetry: FloatArray
    #: curvature, slope, thickness: Of the smoothed height.
    curvature: FloatArray
    slope: FloatArray
    thickness: FloatArray
    #: grain_height, grain_size: Mean height and log10 area of the grain.
    grain_height: FloatArray
    grain_size: FloatArray


def structure_features(
    scan: Scan, *, scale: float | None = None, level_lines: bool = True
) -> StructureFeatures:
    """Maps of the microstructure that a scan shows.

    Parameters
    ----------
    scan : Scan
        Its height is used, or its first channel if it has none, in any unit. A channel "grains"
        holds the number of each pixel's grain; without it, grains are found in the image.
    scale : float, optional
        Width over which curvature, slope and thickness are taken [pixels]. Default: one.
    level_lines : bool
        Remove line offsets first.
    """
    scale = 1.0 if scale is None else scale
    image, _ = relief_of(scan)
    pixel = float(np.sqrt(scan.pixel_size[0] * scan.pixel_size[1]))
    own = None
    if "grains" in scan.channels:  # of a person, who knows them better
        own = np.unique(scan.channels["grains"], return_inverse=True)[1].reshape(scan.shape)
    found = find_structure(image, scan.pixel_size, SegmentationSpec(level_lines=level_lines), own)
    label = found.labels.astype(np.int64)
    far = float(np.hypot(*scan.shape))
    boundary = np.where(found.boundary, 0.0, np.minimum(found.boundary_distance / pixel - 0.5, far))
    area = np.bincount(label.ravel()).astype(np.float64)
    top = found.grains["plateau"] / (float(found.height.std()) or 1.0)
    image = (image - image.mean()) / (float(image.std()) or 1.0)
    return StructureFeatures(
        label=label,
        across=_beyond(found),
        boundary=np.maximum(boundary, 0.0),
        junction=np.minimum(found.junction_distance / pixel, far),
        asymmetry=found.asymmetry,
        curvature=np.asarray(gaussian_laplace(image, scale, mode="mirror")),
        slope=np.asarray(gaussian_gradient_magnitude(image, scale, mode="mirror")),
        thickness=np.asarray(gaussian_filter(image, scale, mode="mirror")),
        grain_height=np.asarray(top[label], np.float64),
        grain_size=np.log10(area)[label],
    )


#: Weight of what a pixel's current has above its surroundings, beside that of the current itself.
_DETAIL = 0.3


def current_features(image: FloatArray, scales: tuple[float, ...] = (1.0, 4.0)) -> FloatArray:
    """Robust features (rows, columns, 1 + scales) of a current image, in any unit, on a log scale.

    Logarithm of the current's size over its noise, with its sign, then how far its surroundings lie
    above it at each scale [pixels]. Median 0, a robust spread scaled so that the mean of x·x is 1.
    All 0 where nothing rises above the noise.
    """
    size = np.abs(image)
    second = np.diff(image, 2, axis=1) if image.shape[1] > 2 else np.zeros((1, 1))
    noise = 1.4826 * float(np.median(np.abs(second))) / np.sqrt(6.0)
    if np.mean(size > 3.0 * noise) < 0.01:  # of noise alone one in 370 is
        return np.zeros((*image.shape, 1 + len(scales)))
    floor = max(noise, 1e-6 * float(np.percentile(size, 99.0)), np.finfo(float).tiny)
    log = np.sign(image) * np.log10(np.maximum(size / floor, 1.0))
    wide = [gaussian_filter(log, s, mode="mirror") - log for s in scales]
    maps = [_robust(log), *(_DETAIL * _robust(x) for x in wide)]
    table = np.stack(maps, axis=-1)
    power = float(np.mean(np.sum(table * table, axis=-1)))
    return np.asarray(table / np.sqrt(power)) if power > 0 else table


def _robust(values: FloatArray) -> FloatArray:
    """Values by median and median deviation, within three of them: where no curve is, none is far."""
    off = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(off))) or float(off.std())
    clipped = np.clip(off / spread, -3.0, 3.0) if spread > 0 else np.zeros_like(off)
    return np.asarray(clipped - clipped.mean())


def _beyond(structure: Structure) -> IntArray:
    """Label of the grain beyond each pixel's nearest boundary; the own one without boundaries."""
    own = structure.labels.astype(np.int64)
    if not len(structure.boundaries):
        return own
    table = structure.boundaries[structure.boundary_id]
    return np.where(table["first"] == own, table["second"], table["first"]).astype(np.int64)
