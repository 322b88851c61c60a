"""Decoded maps over a latent plane."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from grainscout.analysis.latent.dual import DualVAE
from grainscout.analysis.latent.published import PublishedDualVAE
from grainscout.analysis.latent.rotation import RotationVAE
from grainscout.records import BoolArray, ConfigError, DataError, FloatArray

_THINNEST = 0.05  # share of the data beyond which a map is not trusted


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedMap:
    """Decoded grid over two latent axes."""

    axes: tuple[int, int]  #: Latents of columns and rows
    #: first, second: Coordinates of columns and rows, (k,)
    first: FloatArray
    second: FloatArray
    points: FloatArray  #: Latents of each cell, [row of `second`, column of `first`], (k, k, d)
    images: FloatArray  #: Decoded patches in the unit of the data, (k, k, channels, w, w)
    spectra: FloatArray | None  #: Spectra decoded at the same points, (k, k, channels, samples)
    supported: BoolArray  #: False where the model extrapolates, (k, k)


def support(points: ArrayLike, known: ArrayLike) -> BoolArray:
    """True (n,) where the density of `known` is at least that at its own thinnest twentieth."""
    z, data = np.asarray(points, dtype=np.float64), np.asarray(known, dtype=np.float64)
    if data.ndim != 2 or len(data) < 5 or z.ndim != 2 or z.shape[1] != data.shape[1]:
        raise DataError(
            "known must be at least 5 latents (m, d) and points (n, d); got shapes "
            f"{data.shape} and {z.shape}"
        )
    width = data.std(axis=0) * len(data) ** (-1 / (data.shape[1] + 4))
    width = np.where(width > 0, width, 1.0)
    own = np.exp(-0.5 * cdist(data / width, data / width, "sqeuclidean"))
    left_out = (own.sum(axis=1) - 1) / (len(data) - 1)
    density = np.exp(-0.5 * cdist(z / width, data / width, "sqeuclidean")).mean(axis=1)
    return np.asarray(density >= max(float(np.quantile(left_out, _THINNEST)), 1e-300))


def decoded_map(
    model: RotationVAE | DualVAE | PublishedDualVAE,
    known: ArrayLike,
    *,
    size: int = 10,
    axes: tuple[int, int] = (0, 1),
    zoom: float = 1.0,
    centre: ArrayLike | None = None,
) -> DecodedMap:
    """Decode a grid over two latents.

    The grid spans the 1 % to 99 % quantiles of the data. A dual model decodes images and spectra at
    the same points.

    Parameters
    ----------
    model : RotationVAE, DualVAE or PublishedDualVAE
        The fitted model.
    known : (n, d) array of float
        Latents of the data.
    size : int
        Cells along each axis.
    axes : (int, int)
        Latents to vary. The others stay at `centre`.
    zoom : float
        Divides the span about `centre`.
    centre : (d,) array of float, optional
        The median of `known` if None.
    """
    data = np.asarray(known, dtype=np.float64)
    if data.ndim != 2 or data.shape[1] < 2 or size < 2 or not zoom >= 1 or axes[0] == axes[1]:
        raise ConfigError(
            "a decoded map must have latents (n, >= 2), two different axes, size >= 2 and zoom >= 1; "
            f"got latents {data.shape}, axes {axes}, size {size} and zoom {zoom}"
        )
    middle = np.median(data, axis=0) if centre is None else np.asarray(centre, dtype=np.float64)
    low, high = np.quantile(data, [0.01, 0.99], axis=0)
    half, mid = 0.5 * (high - low) / zoom, 0.5 * (high + low) if zoom == 1 else middle
    first, second = (np.linspace(mid[a] - half[a], mid[a] + half[a], size) for a in axes)
    points = np.broadcast_to(middle, (size, size, data.shape[1])).copy()
    points[..., axes[0]], points[..., axes[1]] = first[None, :], second[:, None]
    flat = points.reshape(size * size, -1)
    spectra: FloatArray | None = None
    if isinstance(model, RotationVAE):
        images = model.decode(flat)
    else:
        images, spectra = model.decode_image(flat), model.decode_spectrum(flat)
    return DecodedMap(
        axes=axes,
        first=first,
        second=second,
        points=points,
        images=images.reshape(size, size, *images.shape[1:]),
        spectra=None if spectra is None else spectra.reshape(size, size, *spectra.shape[1:]),
        supported=support(flat, data).reshape(size, size),
    )
