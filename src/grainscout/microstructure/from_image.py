"""A `Structure` from an image: grains between the boundaries that the reader sees."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grainscout.microstructure.geometry import structure_of
from grainscout.microstructure.reader import read_height
from grainscout.microstructure.segmentation import find_grains, has_relief, level, stands_out
from grainscout.microstructure.spec import LARGEST, PATCH, SegmentationSpec
from grainscout.microstructure.structure import Structure
from grainscout.records import ConfigError, DataError, FloatArray

NM = 1e-9


def checked_image(
    height: ArrayLike, pixel_size: float | tuple[float, float]
) -> tuple[FloatArray, tuple[float, float]]:
    """A measured image as float64 and its pixel steps as a pair.

    Parameters
    ----------
    height : (rows, columns) array of numbers
        Topography [m].
    pixel_size : float or (row step, column step)
        Pixel size [m].

    Raises
    ------
    DataError
        If the image is unusable.
    ConfigError
        If the pixel size is.
    """
    try:
        given = np.asarray(height)
    except ValueError as error:
        raise DataError(f"topography height must be an image of numbers [m]: {error}") from error
    if given.dtype.kind not in "fiu":
        raise DataError(
            f"topography height must be numbers [m]; got an array of {given.dtype}. Convert it first"
        )
    image = np.array(given, dtype=np.float64)
    if image.ndim != 2 or min(image.shape, default=0) < PATCH or max(image.shape) > LARGEST:
        raise DataError(
            f"topography height must be an image of {PATCH} .. {LARGEST} pixels on each side; got "
            f"shape {image.shape}"
        )
    bad = int((~np.isfinite(image)).sum())
    if bad:
        raise DataError(
            f"topography height must be finite [m]; {bad} of {image.size} pixels are NaN or "
            "infinite. Crop or inpaint them first"
        )
    if float(np.ptp(image)) == 0.0:
        raise DataError("topography height must vary [m]; every pixel is the same")
    steps = np.broadcast_to(np.asarray(pixel_size, dtype=np.float64), (2,))
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ConfigError(f"topography pixel_size must be positive [m]; got {pixel_size}")
    if not ((steps >= 1e-11) & (steps <= 1e-4)).all():
        raise ConfigError(
            f"topography pixel_size must be 1e-11 .. 1e-4 m; got {pixel_size}. Is it in metres?"
        )
    if float(np.ptp(image)) > 1e-4:
        raise DataError(
            f"topography height must span at most 1e-4 m; got {float(np.ptp(image)):g}. Is it in "
            "metres?"
        )
    return image, (float(steps[0]), float(steps[1]))


def checked_extent(
    shape: tuple[int, int], pixel_size: tuple[float, float], spec: SegmentationSpec
) -> None:
    """Refuse an image that is smaller than the smallest grain looked for (DataError)."""
    rows, columns = (n * step / NM for n, step in zip(shape, pixel_size, strict=True))
    if min(rows, columns) < spec.smallest_nm:
        raise DataError(
            f"topography must be larger than the smallest grain, {spec.smallest_nm:g} nm; got "
            f"{rows:g} x {columns:g} nm. Give its true pixel size (pixel_nm), or a smaller "
            "segmentation smallest_nm and scale_nm"
        )


def checked_relief(structure: Structure, image: FloatArray) -> None:
    """DataError if levelling left only rounding of an image (rows, columns) [m]."""
    if not has_relief(structure.height, image):
        raise DataError(
            "topography height must have relief left after levelling; got "
            f"{np.ptp(structure.height):.2g} m, which is rounding. The image is a plane or line "
            "offsets alone: switch off level_plane or level_lines if those are what you want"
        )


def find_structure(
    image: FloatArray,
    pixel_size: tuple[float, float],
    spec: SegmentationSpec,
    grains: NDArray[np.integer[Any]] | None = None,
) -> Structure:
    """Grains, boundaries and junctions that an image shows.

    Parameters
    ----------
    image : (rows, columns) array of float
        Topography [m].
    pixel_size : (row step, column step)
        Pixel size [m].
    spec : SegmentationSpec
        Settings.
    grains : (rows, columns) array of int, optional
        Grain of each pixel, 0 .. n-1, where a person knows them.

    Returns
    -------
    Structure
        Its height is the levelled image. An image without relief, that shows its own noise alone,
        or in which the reader is sure of no boundary, is one grain.
    """
    height = level(image, spec.level_lines, spec.level_plane)
    labels = np.zeros(image.shape, np.int32) if grains is None else np.asarray(grains, np.int32)
    if not stands_out(height, image):
        return structure_of(labels, height, pixel_size)
    # Structure of another scale is read as though it were of the usual one.
    zoom = SegmentationSpec().scale_nm / spec.scale_nm
    pixel = zoom * pixel_size[0], zoom * pixel_size[1]
    reading = read_height(zoom * image, pixel, level_lines=spec.level_lines)
    if grains is None:
        steps = (pixel_size[0] / NM, pixel_size[1] / NM)
        labels = find_grains(reading.maps["boundary"], reading.sd["boundary"], steps, spec)
    asymmetry = reading.maps["strength"], reading.maps["asymmetry"]
    return structure_of(labels, height, pixel_size, asymmetry)
