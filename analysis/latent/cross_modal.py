"""Regression of spectra on the image around their site.

An autoencoder keeps what rebuilds the whole patch. A curve depends on the material right under the
tip, a small part of it. So spectra are predicted by kernel ridge regression from invariants of the
patch *about the site* at a few scales, together with the autoencoder's content. The arc-cosine
kernel is that of a wide network of two hidden layers and needs no length scale. The ridge has the
least leave-one-out error, so that without a relation the prediction is the mean.

References
----------
Cho and Saul 2009, NeurIPS (arc-cosine kernel).
Florack et al. 1992, Image and Vision Computing 10, 376 (differential invariants).
"""

from dataclasses import dataclass

import numpy as np

from grainscout.records import FloatArray

_SCALES = (1.0, 1.6, 2.5)  # pixels
_RIDGES = np.logspace(-3, 2, 18)


def site_invariants(patches: FloatArray) -> FloatArray:
    """(n, 15 channels) rotation invariants of patches (n, channels, w, w) from Gaussian derivatives."""
    w = patches.shape[-1]
    axis = np.arange(w) - w // 2
    row, column = np.meshgrid(axis, axis, indexing="ij")
    parts = []
    for scale in _SCALES:
        g, wide = (np.exp(-0.5 * (row**2 + column**2) / s**2) for s in (scale, 2 * scale))
        g, wide = g / g.sum(), wide / wide.sum()
        masks = (
            g - wide, -row / scale * g, -column / scale * g,
            (row**2 / scale**2 - 1) * g, (column**2 / scale**2 - 1) * g, row * column / scale**2 * g,
        )  # fmt: skip
        # Each without its mean, so that the height of the whole patch has no effect.
        over, y, x, yy, xx, xy = (np.tensordot(patches, m - m.mean(), axes=2) for m in masks)
        steep = y * y + x * x
        along = (y * y * yy + 2 * y * x * xy + x * x * xx) / np.fmax(steep, 1e-300)
        parts += [over, np.sqrt(steep), yy + xx, np.hypot(yy - xx, 2 * xy), along]
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossModalRegression:
    """Fitted regression of spectra on image features."""

    #: middle, spread: Scaling of the features, (f,).
    middle: FloatArray
    spread: FloatArray
    known: FloatArray  #: Scaled features of the pairs of the fit, (m, f)
    weights: FloatArray  #: Coefficients, (m, d)
    mean: FloatArray  #: Mean point, (d,)
    scatter: FloatArray  #: Cholesky factor of the covariance of left-out pairs, (d, d)

    @classmethod
    def fit(cls, raw: FloatArray, points: FloatArray) -> "CrossModalRegression":
        """Fit to features (m, f) and points (m, d)."""
        middle = np.median(raw, axis=0)
        low, high = np.quantile(raw, [0.25, 0.75], axis=0)
        spread = np.where(high > low, (high - low) / 1.349, 1.0)
        known = np.arcsinh((raw - middle) / spread)
        mean = points.mean(axis=0)
        values, vectors = np.linalg.eigh(_kernel(known, known))
        best, weights, rest = np.inf, np.zeros_like(points), points - mean
        for ridge in _RIDGES:
            inverse = (vectors / (values + ridge)) @ vectors.T
            guess = inverse @ (points - mean)
            left_out = guess / np.diag(inverse)[:, None]
            if (error := float(np.square(left_out).sum())) < best:
                best, weights, rest = error, guess, left_out
        covariance = rest.T @ rest / len(rest) + 1e-9 * np.eye(points.shape[1])
        return cls(
            middle=middle, spread=spread, known=known, weights=weights, mean=mean,
            scatter=np.linalg.cholesky(covariance),
        )  # fmt: skip

    def predict(self, raw: FloatArray) -> FloatArray:
        """Points (n, d) expected at features (n, f)."""
        asked = np.arcsinh((raw - self.middle) / self.spread)
        return np.asarray(self.mean + _kernel(asked, self.known) @ self.weights)


#: The earlier name.
Link = CrossModalRegression


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    """Twice iterated arc-cosine kernel (n, m) of rows."""
    x, y = (np.column_stack([np.ones(len(t)), t]) / np.sqrt(1 + t.shape[1]) for t in (a, b))
    product, own, other = x @ y.T, np.square(x).sum(1), np.square(y).sum(1)
    scale = np.sqrt(np.outer(own, other))
    for _ in range(2):
        cosine = np.clip(product / scale, -1.0, 1.0)
        product = scale * (np.sqrt(1 - cosine**2) + (np.pi - np.arccos(cosine)) * cosine) / np.pi
    return np.asarray(product)
