"""What a height image says of the microstructure: maps with uncertainties, by a trained ensemble.

The image is brought to a working grid of 20 nm pixels, read by small networks
(``microstructure.network``) under several symmetries, and the answer brought back to the image's own
pixels.  They learnt from simulated films drawn far wider than any preset
(``python -m grainscout.benchmarks.reader.train``); ``weights/reader.json`` says how good they are.
Torch is imported when something is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.transform import resize

from grainscout.microstructure.geometry import structure_of
from grainscout.microstructure.segmentation import level
from grainscout.records import BoolArray, ConfigError, DataError, FloatArray, Scan

if TYPE_CHECKING:
    from grainscout.microstructure.network import Trained

#: Names of the maps of a reading.
MAPS = ("boundary", "junction", "club", "heart", "diamond", "strength", "asymmetry", "contact")
WORKING = 20e-9  # m: side of a pixel of the working grid
_COARSEST = 60e-9  # m: own pixels that are brought to the working grid
_LENGTHS = (1.5, 1.9)  # working pixels: of the proximities to boundaries and junctions
_LEAST, _SMALLEST = 24, 4  # pixels: shortest side of a working grid, and of an image
_UPSAMPLED = 1024  # pixels: larger images are not brought to a finer grid
_HIGH_PASS = 24.0  # working pixels: what is slower than a grain tells nothing of its edges

Maps = Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class StructureReading:
    """Maps that an image shows, and how sure each is."""

    #: Estimates, by the names of `MAPS`. "boundary" and "junction" are proximities 0 .. 1,
    #: exp(-(d/l)^2/2) of the distance d. "club", "heart", "diamond" are the archetypes' weights,
    #: which sum to 1. "strength" is how asymmetric the nearest boundary is, 0 .. 1. "asymmetry" is
    #: the same with a sign, positive in the grain with the smooth flank. "contact" is the logarithm
    #: of the contact factor.
    maps: Maps
    sd: Maps  #: Standard deviation of each, calibrated on films held out from training
    #: boundary_length, junction_length: The lengths l [m].
    boundary_length: float
    junction_length: float
    #: Share, 0 .. 1, of simulated films held out from training that are at least as strange as this
    #: image. Near 0 the image is unlike all of them, and `sd` is as wide as without an image.
    familiarity: float
    notes: tuple[str, ...] = ()  #: What was resampled, filled in or assumed

    def stack(self, names: Sequence[str] = MAPS, *, sd: bool = False) -> FloatArray:
        """Maps, or their deviations, as one (rows, columns, names) array."""
        source = self.sd if sd else self.maps
        return np.stack([source[name] for name in names], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Working:
    """The grid on which an image is read: (rows, columns), and a pixel's side [m]."""

    shape: tuple[int, int]
    pixel: float
    notes: tuple[str, ...] = ()


def read_structure(scan: Scan, trained: Trained | None = None) -> StructureReading:
    """Read the microstructure that a scan's height shows.

    Parameters
    ----------
    scan : Scan
        Its height, or its first channel if it has none. A channel "grains" holds the number of
        each pixel's grain, where a person knows them: boundaries and junctions are then those.
    trained : Trained, optional
        Members to ask. Default: those shipped.

    Raises
    ------
    DataError
        The image is smaller than 4 x 4 pixels, or the shipped weights are damaged.
    """
    image, notes = relief_of(scan)
    reading = read_height(image, scan.pixel_size, trained)
    reading = replace(reading, notes=notes + reading.notes)
    own = scan.channels.get("grains")
    return reading if own is None else _with_grains(reading, own, scan)


def relief_of(scan: Scan) -> tuple[FloatArray, tuple[str, ...]]:
    """The scan's height, or its first channel as a relief of usual size [m], and a note then."""
    if scan.image_name == "height":
        return scan.image, ()
    note = f"{scan.image_name!r} is no height: read as a relief of {WORKING * 1e9:g} nm"
    return scan.image * (WORKING / (float(scan.image.std()) or 1.0)), (note,)


def read_height(
    height: ArrayLike,
    pixel_size: float | tuple[float, float],
    trained: Trained | None = None,
    *,
    level_lines: bool = True,
) -> StructureReading:
    """Read the microstructure that a height image shows.

    Parameters
    ----------
    height : (rows, columns) array of float
        Topography [m]. Pixels that are not finite are filled in from their neighbours, and said to
        be unknown in `sd`.
    pixel_size : float or (row step, column step)
        Pixel size [m].
    trained : Trained, optional
        Members to ask. Default: those shipped.
    level_lines : bool
        Remove line offsets first, as in training.

    Raises
    ------
    DataError
        The image has no two axes of at least 4 pixels, or less than half of it is finite.
    ConfigError
        The pixel size is not positive.
    """
    image = np.ascontiguousarray(height, np.float64)
    steps = np.broadcast_to(np.asarray(pixel_size, np.float64), 2)
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ConfigError(f"reader pixel_size must be positive [m]; got {pixel_size}")
    pixel = float(steps[0]), float(steps[1])
    return _read(image.tobytes(), image.shape, pixel, trained, level_lines)


@lru_cache(maxsize=2)  # policies, features and scores of one film ask for the same reading
def _read(
    raw: bytes,
    shape: tuple[int, ...],
    pixel: tuple[float, float],
    trained: Trained | None,
    level_lines: bool,
) -> StructureReading:
    from grainscout.microstructure import network

    image, unknown = _filled(np.frombuffer(raw).reshape(shape))
    grid = working_grid(image.shape, pixel)
    trained = trained or network.shipped()
    mean, sd, film = network.ask(trained, network_input(image, grid, level_lines))
    share, trust = trained.familiarity(film, grid.shape)
    notes = list(grid.notes)
    if unknown.any():
        notes.append(f"{int(unknown.sum())} pixels that are not finite were filled in")
    if np.ptp(image) <= 1e-9 * float(np.abs(image).max()):
        share, trust = 0.0, 0.0
        notes.append("the image is flat: nothing can be read in it")
    prior_mean, prior_sd = (p[:, None, None] for p in trained.prior)
    # The stranger the image, the wider: as wide in the end as without an image.
    mean = mean if trust > 0 else np.broadcast_to(prior_mean, mean.shape)
    sd = np.sqrt(trust * sd**2 + (1.0 - trust) * prior_sd**2)
    means = [_back(m, image.shape, 3) for m in mean]
    sds = [
        np.where(unknown, p, _back(s, image.shape, 1)) for s, p in zip(sd, prior_sd, strict=True)
    ]
    for values in (*means, *sds):
        values.setflags(write=False)
    return StructureReading(
        maps=MappingProxyType(dict(zip(MAPS, means, strict=True))),
        sd=MappingProxyType(dict(zip(MAPS, sds, strict=True))),
        boundary_length=_LENGTHS[0] * grid.pixel,
        junction_length=_LENGTHS[1] * grid.pixel,
        familiarity=share,
        notes=tuple(notes),
    )


def working_grid(shape: tuple[int, int], pixel_size: tuple[float, float]) -> Working:
    """The grid on which an image is read."""
    side = float(np.sqrt(pixel_size[0] * pixel_size[1]))
    frame = [n * step for n, step in zip(shape, pixel_size, strict=True)]
    pixel = WORKING
    notes: tuple[str, ...] = ()
    if side > _COARSEST or min(frame) < _LEAST * WORKING:
        pixel = max(min(pixel_size), max(frame) / 4096)
        notes = (
            f"pixels of {side * 1e9:.3g} nm in a frame of {frame[0] * 1e9:.4g} x "
            f"{frame[1] * 1e9:.4g} nm are read as though they were of {WORKING * 1e9:g} nm",
        )
    elif side > WORKING and max(shape) > _UPSAMPLED:
        pixel = side
        notes = (f"the image is large: read on its own pixels as if of {WORKING * 1e9:g} nm",)
    rows, columns = (max(_LEAST, round(length / pixel)) for length in frame)
    if (rows, columns) != tuple(shape) and not notes:
        notes = (f"resampled from {shape[0]} x {shape[1]} to {rows} x {columns} pixels",)
    return Working(shape=(rows, columns), pixel=pixel, notes=notes)


def network_input(
    height: FloatArray, grid: Working, level_lines: bool = True
) -> NDArray[np.float32]:
    """(3, rows, columns) on the working grid: relief, its fine part, and its size in pixels."""
    relief = level(height, lines=level_lines)
    if grid.shape != relief.shape:
        relief = resize(relief, grid.shape, order=1, mode="reflect", anti_aliasing=True)
    relief = relief - gaussian_filter(relief, _HIGH_PASS, mode="mirror")
    spread = float(relief.std())
    # A flat image stays flat: its rounding errors are not blown up to a landscape.
    flat = spread <= 1e-9 * float(np.abs(height).max())
    shown = relief / (1.0 if flat else spread)
    fine = 3.0 * (shown - gaussian_filter(shown, 2.0, mode="mirror"))
    return np.stack([shown, fine, np.arcsinh(relief / grid.pixel)]).astype(np.float32)


def _filled(image: FloatArray) -> tuple[FloatArray, BoolArray]:
    """The image with every pixel finite, and where it was not."""
    if image.ndim != 2 or min(image.shape) < _SMALLEST:
        raise DataError(
            f"reader image must be at least {_SMALLEST} x {_SMALLEST} pixels; got {image.shape}"
        )
    unknown = ~np.isfinite(image)
    if unknown.mean() > 0.5:
        raise DataError(
            f"reader image must be finite in at least half of its pixels; got {unknown.mean():.0%} "
            "that are not. Crop it to what was measured"
        )
    if unknown.any():
        at = distance_transform_edt(unknown, return_distances=False, return_indices=True)
        image = image[tuple(at)]
    return image, unknown


def _back(values: FloatArray, shape: tuple[int, int], order: int) -> FloatArray:
    """A map on the image's own pixels; `resize` keeps it within its range."""
    if values.shape == shape:
        return values
    found: FloatArray = resize(values, shape, order=order, mode="edge", anti_aliasing=False)
    return found


def _with_grains(reading: StructureReading, grains: FloatArray, scan: Scan) -> StructureReading:
    """The reading with boundaries and junctions of a person's grains."""
    labels = np.unique(grains, return_inverse=True)[1].reshape(grains.shape).astype(np.int32)
    known = structure_of(labels, scan.image, scan.pixel_size)
    half = 0.25 * sum(scan.pixel_size)

    def near(distance: FloatArray, length: float) -> tuple[FloatArray, FloatArray]:
        # A line between pixels is known to half a pixel.
        low, middle, high = (
            np.exp(-0.5 * (np.maximum(distance + by, 0.0) / length) ** 2) for by in (half, 0, -half)
        )
        return middle, 0.5 * (high - low)

    maps, sd = dict(reading.maps), dict(reading.sd)
    maps["boundary"], sd["boundary"] = near(known.boundary_distance, reading.boundary_length)
    maps["junction"], sd["junction"] = near(known.junction_distance, reading.junction_length)
    b, j, a = (maps[name] for name in ("boundary", "junction", "strength"))
    edge, unsure = (1.0 - j) * b, np.hypot(sd["boundary"], sd["junction"])
    maps |= {"club": (1.0 - j) * (1.0 - b), "heart": j + edge * (1.0 - a), "diamond": edge * a}
    sd |= {
        "club": unsure,
        **dict.fromkeys(("heart", "diamond"), np.hypot(unsure, edge * sd["strength"])),
    }
    return replace(
        reading,
        maps=MappingProxyType(maps),
        sd=MappingProxyType(sd),
        notes=(*reading.notes, "boundaries and junctions are those of the channel 'grains'"),
    )
