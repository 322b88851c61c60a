"""Preparation of patches and spectra."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grainscout.records import BoolArray, ConfigError, DataError, FloatArray, IntArray

Single = NDArray[np.float32]

_LEAST = 8  # smallest number of samples to learn from and hold out


def patches_at(images: ArrayLike, sites: ArrayLike, window: int) -> FloatArray:
    """Cut patches (n, channels, window, window) around sites.

    Parameters
    ----------
    images : ([channels,] rows, columns) array of float
        Maps on one grid, such as topography, current or lifetime, in any unit.
    sites : (n, 2) array of int
        Rows and columns.
    window : int
        Width [pixels]. A patch starts at (row, column) - window // 2.

    Raises
    ------
    DataError
        For a site without a full window.
    """
    stack = np.asarray(images, dtype=np.float64)
    stack = stack[None] if stack.ndim == 2 else stack
    at = np.asarray(sites)
    if stack.ndim != 3 or at.ndim != 2 or at.shape[1] != 2 or at.dtype.kind not in "iu":
        raise DataError(
            "images must be (channels, rows, columns) and sites (n, 2) whole numbers; got shapes "
            f"{stack.shape} and {at.shape} of {at.dtype}"
        )
    corner = at.astype(np.int64) - window // 2
    if (corner < 0).any() or (corner + window > np.array(stack.shape[1:])).any():
        raise DataError(
            f"every site must have a full {window} x {window} window on the images of shape "
            f"{stack.shape[1:]}; leave a margin of {window // 2} pixels"
        )
    views = np.lib.stride_tricks.sliding_window_view(stack, (window, window), axis=(1, 2))
    return np.ascontiguousarray(views[:, corner[:, 0], corner[:, 1]].transpose(1, 0, 2, 3))


def checked(data: ArrayLike, name: str, dimensions: int) -> FloatArray:
    """Return finite data with a channel axis."""
    array = np.asarray(data, dtype=np.float64)
    array = array[:, None] if array.ndim == dimensions - 1 else array
    if array.ndim != dimensions or 0 in array.shape:
        raise DataError(
            f"{name} must have {dimensions} axes, (n, channels, ...), none of them empty; got shape "
            f"{np.shape(data)}"
        )
    bad = int((~np.isfinite(array).reshape(len(array), -1).all(axis=1)).sum())
    if bad:
        raise DataError(
            f"{name} must be finite; {bad} of {len(array)} hold NaN or infinite values. Leave them "
            "out or repair them first"
        )
    return array


def check_pairs(images: FloatArray, curves: FloatArray) -> None:
    """Check that patches and spectra are pairs."""
    if len(images) != len(curves):
        raise DataError(f"patches and spectra must be pairs; got {len(images)} and {len(curves)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaling:
    """Scaling of raw arrays (n, channels, ...) to model inputs."""

    #: own_mean, own_size: Channels where each sample loses its own mean, or is divided by its own
    #: size (root mean square, floored at a tenth of the median size), (channels,).
    own_mean: BoolArray
    own_size: BoolArray
    #: floor, scale: Smallest own size, and common divisor, (channels,).
    floor: FloatArray
    mean: FloatArray  #: Common mean, (channels, ...)
    scale: FloatArray

    @classmethod
    def of(
        cls,
        data: FloatArray,
        *,
        own_mean: bool | Sequence[bool],
        own_size: bool | Sequence[bool] = False,
        flat_mean: bool,
        name: str,
    ) -> "Scaling":
        """Learn from training data."""
        channels, inner = data.shape[1], tuple(range(2, data.ndim))
        means, sizes = _switch(own_mean, channels, name), _switch(own_size, channels, name)
        size = np.sqrt(np.mean(np.square(data), axis=inner))
        draft = cls(
            own_mean=means,
            own_size=sizes,
            floor=0.1 * np.median(size, axis=0),
            mean=np.zeros((channels,) + (1,) * len(inner)),
            scale=np.ones(channels),
        )
        reduced = draft.apply(data).astype(np.float64)
        mean = reduced.mean(axis=(0, *inner) if flat_mean else 0, keepdims=True)[0]
        scale = np.sqrt(np.mean(np.square(reduced - mean), axis=(0, *inner)))
        # An image of 1e-8 m is not constant; one whose spread is lost in rounding is.
        size_of_all = np.abs(data).max(axis=(0, *inner))
        flat = scale <= 1e-9 * np.where(sizes, 1.0, size_of_all)
        if flat.any() or not (size_of_all > 0).all():
            raise DataError(
                f"{name} must have contrast in every channel; channel "
                f"{int((flat | (size_of_all == 0)).argmax())} is the same everywhere"
            )
        return cls(own_mean=means, own_size=sizes, floor=draft.floor, mean=mean, scale=scale)

    def apply(self, data: FloatArray) -> Single:
        """Scale data to inputs of the model."""
        bare = self._bare(data)
        shape = (-1,) + (1,) * (data.ndim - 2)
        return np.asarray((bare - self.mean) / self.scale.reshape(shape), dtype=np.float32)

    def undo(self, data: NDArray[np.floating]) -> FloatArray:
        """Scale outputs back, without own means and sizes."""
        shape = (-1,) + (1,) * (data.ndim - 2)
        return np.asarray(data.astype(np.float64) * self.scale.reshape(shape) + self.mean)

    def _bare(self, data: FloatArray) -> FloatArray:
        inner = tuple(range(2, data.ndim))
        shape = (-1,) + (1,) * len(inner)
        own = data.mean(axis=inner, keepdims=True) * self.own_mean.reshape(shape)
        bare = data - own
        size = np.sqrt(np.mean(np.square(data), axis=inner, keepdims=True))
        size = np.maximum(size, np.maximum(self.floor, 1e-300).reshape(shape))
        return np.asarray(np.where(self.own_size.reshape(shape), bare / size, bare))


def _switch(value: bool | Sequence[bool], channels: int, name: str) -> BoolArray:
    array = np.asarray(value, dtype=bool)
    if array.ndim > 1 or array.size not in (1, channels):
        raise ConfigError(
            f"an option of {name} must be one truth value or one a channel ({channels}); got {value}"
        )
    return np.broadcast_to(array, (channels,)).copy()


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Indices for training, stopping and tests."""

    train: IntArray
    stop: IntArray
    test: IntArray


def split(n: int, *, stop: float, test: float, rng: np.random.Generator) -> Split:
    """Split n samples at random with these shares."""
    if not (0 < stop < 1 and 0 <= test < 1 and stop + test < 0.9):
        raise ConfigError(
            "held-out shares must be 0 < stop, 0 <= test and together under 0.9; got "
            f"stop {stop} and test {test}"
        )
    if n < _LEAST:
        raise DataError(f"a latent map must have at least {_LEAST} samples; got {n}")
    order = rng.permutation(n)
    at, to = max(2, round(stop * n)), round(test * n)
    return Split(
        train=np.sort(order[at + to :]), stop=np.sort(order[:at]), test=np.sort(order[at : at + to])
    )
