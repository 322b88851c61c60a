"""Random surfaces by filtering white noise in Fourier space."""

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

from grainscout.records.arrays import FloatArray


def filtered_noise(
    shape: tuple[int, int],
    pixel: tuple[float, float],
    power: str,
    length: float,
    rng: np.random.Generator,
    hurst: float = 1.0,
) -> FloatArray:
    """Gaussian random field (rows, columns).

    power "self-affine": spectral density flat up to wave number 1/length and falling as
    k^(-2 - 2 hurst) beyond (Persson et al. 2005), of unit variance over the frame.
    power "gaussian": correlation exp(-r^2 / 2 length^2), of unit variance over many lengths, less
    over a frame that is shorter than `length`, as its mean is not part of the field.
    """
    # Padding, so that opposite rims of the film are not neighbours.
    pad = [
        next_fast_len(n + min(int(4 * length / p) + 1, n), real=True)
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
    if power == "self-affine":
        # Columns of the half spectrum count twice, but the first and the last of an even length.
        twice = np.full(density.shape[1], 2.0)
        twice[0] = 1.0
        if pad[1] % 2 == 0:
            twice[-1] = 1.0
        total = float((density * twice).sum())
    else:
        total = pad[0] * pixel[0] * pad[1] * pixel[1] / (2 * np.pi * length**2)
    gain = np.sqrt(density * (pad[0] * pad[1]) / total)
    noise = rfft2(rng.standard_normal(pad))
    field = irfft2(noise * gain, s=pad)
    return np.ascontiguousarray(field[: shape[0], : shape[1]])
