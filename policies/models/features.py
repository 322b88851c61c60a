"""Dense features of every pixel's surroundings, computed from whole images.

The *patch* of a site (r, c) at window w is rows r − w//2 … r − w//2 + w − 1 and columns likewise:
for w = 16, pixels −8 … +7, so the site is pixel [8, 8] of its patch.  Where a patch would leave the
image, the image is continued by reflection about its outermost pixel (numpy's ``"reflect"``).

Nothing here makes the matrix of all patches: memory grows with pixels × features.
"""

import hashlib
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from grainscout.records import ConfigError, FloatArray, IntArray, Scan, one_of

#: Patches that the principal components are computed from, at most (every k-th row and column).
BASIS_PATCHES = 16_384
_CHUNK = 2**21  # elements of the largest temporary, so that it stays near the cache


def check_window(window: int, shape: tuple[int, int]) -> None:
    """ConfigError unless a window of that many pixels fits the image."""
    if not 1 <= window <= min(shape):
        raise ConfigError(
            f"window must be between 1 and the image's shorter side [pixels]; got window {window} "
            f"for an image of {shape[0]} x {shape[1]} pixels. Choose a smaller one: the policy's "
            "option window ([policy] options.window)"
        )


def padded(image: NDArray[Any], window: int) -> NDArray[Any]:
    """The image continued by reflection so that every pixel has a full patch."""
    before, after = window // 2, window - 1 - window // 2
    return np.pad(image, ((before, after), (before, after)), mode="reflect")


def patches(image: FloatArray, window: int, sites: IntArray) -> FloatArray:
    """(n, window, window) patches of (n, 2) sites, for few sites or the published loop."""
    check_window(window, (image.shape[0], image.shape[1]))
    view = sliding_window_view(padded(image, window), (window, window))
    return view[sites[:, 0], sites[:, 1]]


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchBasis:
    """Principal components of an image's patches."""

    mean: FloatArray  #: Mean patch, (w w,)
    vectors: FloatArray  #: Components, orthonormal, (k, w w)
    variance: FloatArray  #: Variance of each component, falling, (k,)
    total: float  #: Variance of all components together


def patch_basis(image: FloatArray, window: int, components: int) -> PatchBasis:
    """Components of the full (unpadded) patches, in large images of every k-th one."""
    check_window(window, (image.shape[0], image.shape[1]))
    view = sliding_window_view(image, (window, window))
    step = max(1, int(np.ceil(np.sqrt(view.shape[0] * view.shape[1] / BASIS_PATCHES))))
    view = view[::step, ::step]
    size = window * window
    rows = max(1, _CHUNK // (size * view.shape[1]))
    total = np.zeros(size)
    scatter = np.zeros((size, size))
    offset = image.mean()
    for start in range(0, len(view), rows):
        block = view[start : start + rows].reshape(-1, size) - offset
        total += block.sum(0)
        scatter += block.T @ block
    count = view.shape[0] * view.shape[1]
    mean = total / count
    variance, vectors = np.linalg.eigh(scatter / count - np.outer(mean, mean))
    order = np.argsort(variance)[::-1][: min(components, size)]
    chosen = vectors[:, order].T
    # The sign of an eigenvector is arbitrary: fix it, so that features do not depend on LAPACK.
    largest = np.abs(chosen).argmax(1)
    chosen *= np.sign(chosen[np.arange(len(chosen)), largest])[:, None]
    return PatchBasis(
        mean=mean + offset,
        vectors=chosen,
        variance=np.maximum(variance[order], 0.0),
        total=float(np.maximum(variance, 0.0).sum()),
    )


def project_patches(image: FloatArray, basis: PatchBasis) -> NDArray[np.float32]:
    """(rows, columns, k) scores of every pixel's patch, without ever making the patch matrix."""
    window = int(np.sqrt(basis.mean.size))
    # float32 after removing the mean height: relative accuracy 1e-6 of the relief, not the offset.
    offset = image.mean()
    source = padded((image - offset).astype(np.float32), window)
    view = sliding_window_view(source, (window, window))
    weights = np.ascontiguousarray(basis.vectors.T.astype(np.float32))
    shift = ((basis.mean - offset) @ basis.vectors.T).astype(np.float32)
    out = np.empty((*view.shape[:2], weights.shape[1]), np.float32)
    rows = max(1, _CHUNK // (window * window * view.shape[1]))
    for start in range(0, len(view), rows):
        block = view[start : start + rows]
        flat = block.reshape(-1, window * window) @ weights
        out[start : start + rows] = flat.reshape(*block.shape[:2], -1)
    out -= shift
    return out


def jets(
    image: FloatArray, scales: tuple[float, ...], aspect: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float32]:
    """(rows, columns, 5 len(scales)) invariants of the local derivatives, unchanged by rotation.

    At each scale σ [pixels]: band-pass height, σ|∇h|, σ²Δh, σ²(difference of the Hessian's
    eigenvalues) and the curvature along the gradient. Gaussian derivatives after Florack et al.
    1992. `aspect` divides σ along rows and columns where pixels are not square.
    """
    out = []
    for sigma in scales:
        s = (sigma / aspect[0], sigma / aspect[1])

        def derivative(i: int, j: int, s: tuple[float, float] = s, grow: float = 1.0) -> FloatArray:
            raw = gaussian_filter(image, (s[0] * grow, s[1] * grow), order=(i, j), mode="mirror")
            result: FloatArray = raw * (s[0] ** i * s[1] ** j)
            return result

        y, x = derivative(1, 0), derivative(0, 1)
        yy, xx, xy = derivative(2, 0), derivative(0, 2), derivative(1, 1)
        steep = x * x + y * y
        floor = 1e-12 * float(steep.max()) + np.finfo(float).tiny
        along = (x * x * xx + 2 * x * y * xy + y * y * yy) / (steep + floor)
        out += [
            derivative(0, 0) - derivative(0, 0, grow=2.0),
            np.sqrt(steep),
            xx + yy,
            np.hypot(xx - yy, 2 * xy),
            along,
        ]
    return np.stack(out, axis=-1).astype(np.float32)


def _scaled(features: NDArray[np.float32], *, flat: bool) -> NDArray[np.float32]:
    """(n, d) of unit spread, compressed tails and mean x·x 1. Constant columns are 0 with `flat`."""
    x = features - features.mean(0)
    spread = x.std(0)
    some = spread > 0
    whole = np.zeros((len(x), len(some) if flat else max(int(some.sum()), 1)), np.float32)
    if some.any():
        x = np.arcsinh(x[:, some] / spread[some])
        x -= x.mean(0)
        x /= np.sqrt(np.mean(np.sum(x * x, axis=1)))
        whole[:, some if flat else slice(None)] = x
    return whole


FEATURES = ("jets", "pca", "both", "structure")


class TableCache:
    """Tables of the last scans, for policies that meet on one film, from any thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit  # [bytes]
        self._tables: dict[Hashable, NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """The table under `key`, made outside the lock if there is none."""
        with self._lock:
            table = self._tables.get(key)
        if table is None:
            table = make()
            table.setflags(write=False)
        if table.nbytes <= self.limit:
            with self._lock:
                self._tables.pop(key, None)
                self._tables[key] = table  # the newest stands last
                while sum(t.nbytes for t in self._tables.values()) > self.limit:
                    del self._tables[next(iter(self._tables))]
        return table

    def clear(self) -> None:
        """Forget all tables."""
        with self._lock:
            self._tables.clear()


#: Shared by all policies of the process.
TABLES = TableCache(64 * 2**20)

# The lengths that priors favour: this many correlation lengths along the image's side.
_LENGTHS_ACROSS = 8.0


def feature_table(
    scan: Scan,
    *,
    kind: str = "jets",
    window: int = 16,
    components: int = 24,
    channels: tuple[str, ...] | None = None,
    flat: bool = False,
) -> NDArray[np.float32]:
    """(rows columns, d) features of all pixels of the scan, row-major, with a mean of x·x of 1.

    The kind ``"pca"`` are principal components of the patches, so directions matter. ``"jets"`` are
    rotation-invariant derivatives at four scales up to half the window, ``"both"`` is the two
    together. ``"structure"`` are jets with grains, boundaries, junctions and asymmetry as the
    height shows them. `window` is the side of the patch [pixels], and `channels` None is the
    height, or the first one if there is no height, and the current if there is one. A current
    stands on a log scale (`current_features`), with the weight of all other images together. `flat`
    keeps columns that are the same everywhere, so that d does not depend on the image.

    The table is read-only, and policies that meet on one scan share it. ConfigError for an unknown
    kind or a window larger than the image.
    """
    one_of("features", kind, FEATURES)
    check_window(window, scan.shape)
    if components < 1:
        raise ConfigError(f"components must be at least 1; got {components}")
    names = channels or usual_images(scan)
    images = hashlib.blake2b(digest_size=16)
    for name in (*names, scan.image_name):
        images.update(np.ascontiguousarray(scan.channel(name)).tobytes())
    key = (images.digest(), scan.shape, scan.pixel_size, names, kind, window, components, flat)

    def make() -> NDArray[np.float32]:
        return _made_table(
            scan, kind=kind, window=window, components=components, names=names, flat=flat
        )

    return TABLES.get(key, make)


def usual_images(scan: Scan) -> tuple[str, ...]:
    """The images that features come from if none is named: the height, and the current."""
    return tuple(dict.fromkeys((scan.image_name, *({"current"} & scan.channels.keys()))))


def _made_table(
    scan: Scan, *, kind: str, window: int, components: int, names: tuple[str, ...], flat: bool
) -> NDArray[np.float32]:
    parts: list[NDArray[np.float32]] = []
    for name in names:
        if name == "current":
            continue
        image = scan.channel(name)
        spread = float(image.std())
        image = (image - image.mean()) / (spread if spread > 0 else 1.0)
        if kind in ("pca", "both"):
            basis = patch_basis(image, window, components)
            scores = project_patches(image, basis).reshape(image.size, -1)
            power = float(np.mean(np.sum(scores.astype(np.float64) ** 2, axis=1)))
            parts.append(scores / np.float32(np.sqrt(power) if power > 0 else 1.0))
        if kind != "pca":
            mean = np.sqrt(scan.pixel_size[0] * scan.pixel_size[1])
            aspect = (scan.pixel_size[0] / mean, scan.pixel_size[1] / mean)
            scales = tuple(max(0.7, window / 16 * k) for k in (1.0, 2.0, 4.0, 8.0))
            parts.append(_scaled(jets(image, scales, aspect).reshape(image.size, -1), flat=flat))
    if kind == "structure":
        from grainscout.microstructure.features import structure_features
        from grainscout.policies.models.structure_means import film_model

        table = film_model(("all",), structure_features(scan))[1][:, 1:].astype(np.float32)
        parts.append(_scaled(table, flat=flat))
    parts = [p * np.float32(1.0 / np.sqrt(len(parts))) for p in parts]
    if "current" in names:
        from grainscout.microstructure.features import current_features

        scales = (window / 16, window / 4)
        current = current_features(scan.channel("current"), scales).reshape(
            scan.channel("current").size, -1
        )
        parts = [p * np.float32(np.sqrt(0.5)) for p in (*parts, current.astype(np.float32))]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def coordinates(scan: Scan) -> NDArray[np.float32]:
    """(rows columns, 2) centred positions in eighths of the root of the image's area, row-major."""
    rows, columns = scan.shape
    y = (np.arange(rows) - (rows - 1) / 2) * scan.pixel_size[0]
    x = (np.arange(columns) - (columns - 1) / 2) * scan.pixel_size[1]
    side = np.sqrt(rows * scan.pixel_size[0] * columns * scan.pixel_size[1])
    table = np.column_stack([np.repeat(y, columns), np.tile(x, rows)])
    return np.asarray(table * (_LENGTHS_ACROSS / side), np.float32)
