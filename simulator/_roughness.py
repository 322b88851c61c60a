"""Random surfaces by filtering white noise in Fourier space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

Array = NDArray[np.float64]


def filtered_noise(
    shape: tuple[int, int],
    pixel: tuple[float, float],
    power: str,
    length: float,
    rng: np.random.Generator,
    hurst: float = 1.0,
) -> Array:
    """A (rows, columns) Gaussian field of unit expected variance.

    power "self-affine": spectral density flat up to wave number 1/length and falling as
    k^(-2 - 2 hurst) beyond (rms roughness dominated by the longest waves; Persson et al. 2005).
    power "gaussian": correlation exp(-r^2 / 2 length^2).
    """
    # Padding, so that opposite rims of the film are not neighbours.
    pad = [
        next_fast_len(n + int(4 * length / p) + 1, real=True)
        for n, p in zip(shape, pixel, strict=True)
    ]
    ky = np.fft.fftfreq(pad[0], pixel[0])[:, None]
    kx = np.fft.rfftfreq(pad[1], pixel[1])[None]
    k2 = ky**2 + kx**2
    if power == "self-affine":
        density = (np.maximum(k2, length**-2)) ** (-1.0 - hurst)
    else:
        density = np.exp(-2 * (np.pi * length) ** 2 * k2)
    density[0, 0] = 0.0
    # Each column of the half spectrum but the first (and the last of an even length) counts twice.
    twice = np.full(density.shape[1], 2.0)
    twice[0] = 1.0
    if pad[1] % 2 == 0:
        twice[-1] = 1.0
    gain = np.sqrt(density * (pad[0] * pad[1]) / float((density * twice).sum()))
    noise = rfft2(rng.standard_normal(pad))
    field = irfft2(noise * gain, s=pad)
    return np.ascontiguousarray(field[: shape[0], : shape[1]])
