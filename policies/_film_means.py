"""What could make a spot of a film conduct: mean functions of its place in the microstructure.

Everything is estimated from the image that the policy is given; the truth of a simulated film is
never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_minima
from skimage.segmentation import watershed

from grainscout.policies._controls import groove_depth
from grainscout.policies._kernels import Array, Kernel, Pull
from grainscout.policies._structured_gp import MeanModel
from grainscout.policies._surrogate import Floats
from grainscout.records import Scan

# Least height of the ridge between two grains, in deviations of the groove map: F1 of the boundaries
# (2 pixels tolerance) 0.88 on the reference films, 0.83 at 0.3.
_RIDGE = 0.8
_FLANK, _PLATEAU = (
    3.0,
    (5.0, 10.0),
)  # distances of flank and plateau from a boundary [groove scales]
_DECAYS = (1.5, 4.0)  # lengths over which a boundary's or a junction's influence falls off [pixels]


@dataclass(frozen=True, kw_only=True, eq=False)
class Microstructure:
    """Estimates of the microstructure, each of the scan's shape; lengths in pixels.

    label : grain, 0, 1, ...;  across : the grain on the other side of the nearest boundary (the own
    one where there is no boundary);  boundary, junction : distance to the nearest one (a junction is where
    three grains or more meet);  asymmetry : of the nearest boundary, positive on the side with the
    wider flank, negative on the sharp one;  curvature, slope, thickness : of the smoothed
    height;  grain_height, grain_size : mean height and log10 area of the grain.
    """

    label: NDArray[np.int64]
    across: NDArray[np.int64]
    boundary: Floats
    junction: Floats
    asymmetry: Floats
    curvature: Floats
    slope: Floats
    thickness: Floats
    grain_height: Floats
    grain_size: Floats


def microstructure(scan: Scan, scale: float = 1.0) -> Microstructure:
    """The microstructure that the image shows, with grooves about `scale` pixels wide.

    Grains are the basins of the groove map (a watershed from its deeper minima).
    """
    image = scan.height if "height" in scan.channels else next(iter(scan.channels.values()))
    image = (image - image.mean()) / (float(image.std()) or 1.0)
    label = _grains(scan, scale)
    edge, other = _edges(label)
    far = float(np.hypot(*label.shape))
    boundary, nearest = _distance(edge, far)
    ring = np.ones((3, 3), bool)
    corner = _distinct(label, ring) >= 3
    junction, _ = _distance(corner, far)
    count = int(label.max()) + 1
    height = np.asarray(ndimage.mean(image, label, np.arange(count)), np.float64)
    area = np.bincount(label.ravel(), minlength=count).astype(np.float64)
    # The nearest boundary pixel may be this grain's own rim or the neighbour's.
    neighbour = np.where(label[nearest] == label, other[nearest], label[nearest])
    smooth = ndimage.gaussian_filter(image, scale, mode="mirror")
    return Microstructure(
        label=label,
        across=neighbour,
        boundary=boundary,
        junction=junction,
        asymmetry=_asymmetry(label, neighbour, image, boundary, scale),
        curvature=ndimage.gaussian_laplace(image, scale, mode="mirror"),
        slope=ndimage.gaussian_gradient_magnitude(image, scale, mode="mirror"),
        thickness=smooth,
        grain_height=height[label],
        grain_size=np.log10(area)[label],
    )


def _grains(scan: Scan, scale: float) -> NDArray[np.int64]:
    """Grain of each pixel: basins of the groove map that are separated by a ridge of some height."""
    depth = groove_depth(scan, scale)
    spread = float(depth.std())
    if spread == 0:
        return np.zeros(scan.shape, np.int64)
    smooth = ndimage.gaussian_filter(depth / spread, scale)
    basins = h_minima(smooth, _RIDGE)  # type: ignore[no-untyped-call]
    markers, count = ndimage.label(basins)
    if count == 0:
        return np.zeros(scan.shape, np.int64)
    return np.asarray(watershed(depth, markers), np.int64) - 1  # type: ignore[no-untyped-call]


def _edges(label: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Pixels with a neighbour of another grain, and that grain (the own one elsewhere)."""
    other = label.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            near = np.roll(label, step, axis)
            rim = [slice(None), slice(None)]
            rim[axis] = slice(0, 1) if step == 1 else slice(-1, None)
            near[tuple(rim)] = label[tuple(rim)]
            other = np.where(other == label, near, other)
    return other != label, other


def _asymmetry(
    label: NDArray[np.int64],
    neighbour: NDArray[np.int64],
    image: Floats,
    distance: Floats,
    scale: float,
) -> Floats:
    """How much wider the flank on this side of the nearest boundary is than that on the other.

    The width of a flank is the share of the groove's depth, from the boundary to the plateau, that
    the mean height beside the boundary has yet to rise; shares do not change with a step between
    the plateaus.  0 where a grain is too small to have a plateau.
    """
    count = int(label.max()) + 1
    own, across = label * count + neighbour, neighbour * count + label
    sides, place = np.unique(own, return_inverse=True)
    place = place.reshape(label.shape)

    def mean(low: float, high: float) -> Floats:
        band = (distance >= low) & (distance <= high)
        total = np.bincount(place[band], image[band], len(sides))
        number = np.bincount(place[band], minlength=len(sides))
        found: Floats = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return found

    bottom, plateau = mean(0.0, 0.0), mean(_PLATEAU[0] * scale, _PLATEAU[1] * scale)
    depth = plateau - bottom
    width = np.full(len(sides), np.nan)
    deep = depth > 0
    width[deep] = ((plateau - mean(0.5, _FLANK * scale))[deep] / depth[deep]).clip(-1.0, 2.0)
    at = np.searchsorted(sides, across).clip(max=len(sides) - 1)
    other = np.where(sides[at] == across, width[at], np.nan)
    return np.asarray(np.nan_to_num(width[place] - other))


def _distinct(label: NDArray[np.int64], ring: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of different grains in each pixel's 3 x 3 surroundings."""
    padded = np.pad(label, 1, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, ring.shape)
    ordered = np.sort(views.reshape(*label.shape, -1), axis=-1)
    return np.asarray(1 + (np.diff(ordered, axis=-1) > 0).sum(-1), np.int64)


def _distance(
    mask: NDArray[np.bool_], far: float
) -> tuple[Floats, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Distance to the mask [pixels] (`far` if it is empty), and the indices of the nearest."""
    if not mask.any():
        rows, columns = np.indices(mask.shape)
        return np.full(mask.shape, far), (np.asarray(rows), np.asarray(columns))
    distance, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
    rows, columns = np.asarray(nearest, np.int64)
    return np.asarray(distance, np.float64), (rows, columns)


# ---- hypotheses -------------------------------------------------------------------------------
def _decays(distance: Floats) -> list[Floats]:
    return [np.exp(-distance / length) for length in _DECAYS]


def _asymmetric(m: Microstructure) -> list[Floats]:
    near = np.exp(-m.boundary / _DECAYS[-1])
    return [near * m.asymmetry, near * abs(m.asymmetry)]


_COLUMNS: Mapping[str, Callable[[Microstructure], list[Floats]]] = {
    "boundary": lambda m: _decays(m.boundary),
    "junction": lambda m: _decays(m.junction),
    "asymmetry": _asymmetric,
    "topography": lambda m: [m.curvature, m.slope, m.thickness],
    "grain": lambda m: [m.grain_height, m.grain_size],
}
_NAMES: Mapping[str, tuple[str, ...]] = {
    "boundary": tuple(f"boundary, {d:g} px" for d in _DECAYS),
    "junction": tuple(f"junction, {d:g} px" for d in _DECAYS),
    "asymmetry": ("asymmetry", "|asymmetry|"),
    "topography": ("curvature", "slope", "thickness"),
    "grain": ("grain height", "grain size"),
}

#: Hypotheses about a film: nothing but the residual, one cause, or all of them together.
HYPOTHESES = ("constant", *_COLUMNS, "all")


def film_model(names: tuple[str, ...], found: Microstructure) -> tuple[MeanModel, Floats]:
    """The mean model of these causes and its (pixels, p) covariates, a constant first.

    Each covariate has mean 0 and deviation 1 over the image, so that its coefficient says how much
    of the target's spread it carries.
    """
    causes = tuple(_COLUMNS) if "all" in names else tuple(n for n in names if n != "constant")
    columns = [np.ones(found.label.size)]
    titles = ["constant"]
    for cause in causes:
        for title, column in zip(_NAMES[cause], _COLUMNS[cause](found), strict=True):
            spread = float(column.std())
            columns.append((column.ravel() - column.mean()) / (spread if spread > 0 else 1.0))
            titles.append(title)
    model = MeanModel(
        name=" + ".join(causes) or "constant",
        basis=lambda z, _: z,
        scale=np.array([1.0] + [0.5] * (len(columns) - 1)),
        names=tuple(titles),
    )
    return model, np.column_stack(columns)


@dataclass(frozen=True, kw_only=True)
class GrainEffect:
    """A kernel with a random level of each grain added; the last feature is the grain's label.

    t = (the inner kernel's, log variance of the levels).
    """

    inner: Kernel

    @property
    def prior(self) -> Floats:
        """The inner kernel's, and a weak one on the levels."""
        return np.vstack([self.inner.prior, (-1.5, 1.0)])

    def prepare(self, x: Floats) -> Floats:
        """The inner kernel's preparation and the mask of pairs in one grain, stacked."""
        label = x[:, -1]
        return np.stack([self.inner.prepare(x[:, :-1]), label[:, None] == label])

    def gram(self, prepared: Floats, t: Floats) -> tuple[Floats, Pull]:
        """See :class:`Kernel`."""
        k, pull = self.inner.gram(prepared[0], t[:-1])
        shared = np.exp(t[-1]) * prepared[1]
        return k + shared, lambda grad: np.append(pull(grad), np.vdot(grad, shared))

    def against(self, a: Array, t: Floats) -> Callable[[Array], Array]:
        """See :class:`Kernel`."""
        return lambda b: self.cross(a, b, t)

    def cross(self, a: Array, b: Array, t: Floats) -> Array:
        """See :class:`Kernel`."""
        k = self.inner.cross(a[:, :-1], b[:, :-1], t[:-1])
        shared = np.asarray(np.exp(t[-1]) * (a[:, -1:] == b[:, -1]), k.dtype)
        return np.asarray(k + shared)

    def diagonal(self, x: Array, t: Floats) -> Floats:
        """See :class:`Kernel`."""
        return np.asarray(self.inner.diagonal(x[:, :-1], t[:-1]) + np.exp(t[-1]))
