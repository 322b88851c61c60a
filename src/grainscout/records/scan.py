"""Sites and scans: the pixel grid and its place in metres."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grainscout.records.arrays import FloatArray, IntArray
from grainscout.records.drawn import Axes, Drawn, draw_image, lengths
from grainscout.records.errors import ConfigError, DataError, GrainscoutError


class Site(NamedTuple):
    """A pixel of the scan's grid. Row 0 is the top line of the picture."""

    row: int
    column: int


def checked_site(
    site: object, shape: tuple[int, int] | None = None, *, error: type[GrainscoutError] = DataError
) -> Site:
    """The site as Python integers on a grid of that shape, else `error`. No truth values."""
    pair = tuple(site) if isinstance(site, (tuple, list, np.ndarray)) else (site,)
    whole = [isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in pair]
    inside = whole == [True, True] and (
        shape is None or (0 <= pair[0] < shape[0] and 0 <= pair[1] < shape[1])
    )
    if not inside:
        on = "" if shape is None else f", on the {shape[0]} x {shape[1]} scan"
        raise error(f"site must be two whole numbers, row and column{on}; got {site!r:.80}")
    return Site(int(pair[0]), int(pair[1]))


def checked_sites(
    what: str, sites: object, shape: tuple[int, int], *, least: int = 1, grid: str = "scan"
) -> IntArray:
    """Rows and columns (n, 2) as integers. DataError unless all are on the grid."""
    array = np.array(sites)
    whole = array.ndim == 2 and array.shape[1] == 2 and array.dtype.kind in "iu"
    if not whole or len(array) < least:
        raise DataError(
            f"{what} must be an (n, 2) array of integer rows and columns, n >= {least}; got "
            f"{array.dtype} of shape {array.shape}"
        )
    outside = ((array < 0) | (array >= shape)).any(1)
    if outside.any():
        raise DataError(
            f"{what} must lie on the {shape[0]} x {shape[1]} {grid}; {int(outside.sum())} do not, "
            f"the first is {tuple(array[outside][0].tolist())}"
        )
    return array.astype(np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan(Drawn):
    """Named images on one pixel grid.

    Attributes
    ----------
    channels : mapping of str to (rows, columns) array of float
        At least one. ``"height"`` is in metres, ``"current"`` in amperes.
    pixel_size : (row step, column step)
        Pixel size [m].
    origin : (x, y)
        Centre of pixel (0, 0) [m].
    angle : float
        Rotation of the grid about the origin [rad], from x towards y.
    units : mapping of str to str
        Units of the channels whose unit is known.
    metadata : mapping
        Notes of the source, kept as they were.

    Raises
    ------
    DataError
        For no channel, a wrong or mixed shape, or a NaN.
    ConfigError
        For a pixel size that is not positive.
    """

    channels: Mapping[str, FloatArray]
    pixel_size: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0
    units: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.channels:
            raise DataError("Scan must have at least one channel; got none")
        frozen = {}
        shape: tuple[int, ...] | None = None
        for name, data in self.channels.items():
            image = np.array(data, dtype=np.float64)
            if image.ndim != 2 or 0 in image.shape or (shape is not None and image.shape != shape):
                raise DataError(
                    f"Scan channel {name!r} must be a two-dimensional image"
                    f"{'' if shape is None else f' of shape {shape}'}; got shape {image.shape}"
                )
            bad = int((~np.isfinite(image)).sum())
            if bad:
                raise DataError(
                    f"Scan channel {name!r} must be finite; {bad} of {image.size} pixels are NaN or "
                    "infinite. Crop or inpaint them first"
                )
            shape = image.shape
            image.setflags(write=False)
            frozen[name] = image
        step = (float(self.pixel_size[0]), float(self.pixel_size[1]))
        if not all(math.isfinite(s) and s > 0 for s in step):
            raise ConfigError(f"Scan pixel_size must be two positive lengths [m]; got {step}")
        if not all(map(math.isfinite, (*self.origin, self.angle))):
            raise ConfigError(
                f"Scan origin [m] and angle [rad] must be finite; got {self.origin}, {self.angle}"
            )
        object.__setattr__(self, "channels", frozen)
        object.__setattr__(self, "pixel_size", step)

    def __repr__(self) -> str:
        named = ", ".join(f"{n} [{self.units.get(n, '?')}]" for n in self.channels)
        return f"Scan of {lengths(self.shape, self.pixel_size)}: {named}"

    def draw(self, axes: Axes | None = None) -> Axes:
        """Draw the image that policies see, and return the axes."""
        name = self.image_name
        unit = self.units.get(name, {"height": "m", "current": "A"}.get(name, ""))
        return draw_image(axes, self.image, self.pixel_size, name, unit)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = next(iter(self.channels.values())).shape
        return rows, columns

    def channel(self, name: str) -> FloatArray:
        """The image of that name. DataError lists the channels if there is none."""
        if name not in self.channels:
            raise DataError(f"Scan has no channel {name!r}; it has {', '.join(self.channels)}")
        return self.channels[name]

    @property
    def image_name(self) -> str:
        """Name of the channel that policies see: "height", else the first."""
        return "height" if "height" in self.channels else next(iter(self.channels))

    @property
    def height(self) -> FloatArray:
        """The topography [m]."""
        return self.channel("height")

    @property
    def image(self) -> FloatArray:
        """The height, or the first channel of a scan without one."""
        return self.channels.get("height", next(iter(self.channels.values())))

    def position(self, site: Site) -> tuple[float, float]:
        """(x, y) [m] of a pixel's centre in the scan frame."""
        x, y = self.positions(np.array([[site[0], site[1]]]))[0]
        return float(x), float(y)

    def positions(self, sites: NDArray[np.number[Any]]) -> FloatArray:
        """(n, 2) array of x, y [m] for an (n, 2) array of rows and columns, whole or not."""
        u = sites[:, 1] * self.pixel_size[1]
        v = sites[:, 0] * self.pixel_size[0]
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.column_stack(
            [self.origin[0] + cos * u - sin * v, self.origin[1] + sin * u + cos * v]
        )

    def contains(self, site: Site) -> bool:
        """True if the site lies on the grid."""
        rows, columns = self.shape
        return 0 <= site[0] < rows and 0 <= site[1] < columns

    def flat(self, sites: NDArray[np.integer[Any]]) -> IntArray:
        """Row-major pixel numbers (n,) of (n, 2) rows and columns on the grid."""
        return np.asarray(sites[:, 0] * self.shape[1] + sites[:, 1], np.int64)
