"""Targets and their noise: checks, scale, and noise that one spoilt curve does not bend."""

import numpy as np

from grainscout.records import AnyFloatArray, ConfigError, FloatArray, IntArray

FREEDOM = 2.0  # degrees of freedom of the Student-t noise
REACH = 4.0  # robust standard deviations beyond which a target does not set scale or first fit
LEAST = 4  # fewer targets say nothing about outliers
WIDTH = 1.3  # factor on predicted deviations: targets have longer tails than a normal (record 0206)


def check_data(rows: IntArray, y: FloatArray, noise: FloatArray | None) -> FloatArray:
    """The noise variances, zeros if None. ConfigError if the data cannot be learnt from."""
    noise = np.zeros(len(y)) if noise is None else np.asarray(noise, np.float64)
    if len(y) == 0 or not (rows.shape == y.shape == noise.shape == (len(y),)):
        raise ConfigError(
            "fit needs one row, target and noise for each of at least one measurement; got shapes "
            f"{rows.shape}, {y.shape}, {noise.shape}"
        )
    if not (np.isfinite(y).all() and np.isfinite(noise).all() and (noise >= 0).all()):
        raise ConfigError("fit needs finite targets and finite noise variances >= 0; leave out NaN")
    return noise


def standardise(y: FloatArray) -> tuple[float, float]:
    """Offset and scale of targets, the scale in their unit even if all are equal."""
    offset, scale = float(y.mean()), float(y.std())
    if not scale > 1e-9 * abs(offset):
        scale = abs(offset) if offset != 0 else 1.0
    return offset, scale


def winsorise(y: FloatArray) -> FloatArray:
    """Targets limited to 4 robust deviations of their median, if four or more and no half are equal."""
    middle = float(np.median(y))
    reach = REACH * 1.4826 * float(np.median(np.abs(y - middle)))
    if len(y) < LEAST or not reach > 1e-9 * abs(middle):
        return y
    return np.clip(y, middle - reach, middle + reach)


def student_noise(square: AnyFloatArray, noise: AnyFloatArray) -> FloatArray:
    """Extra variances that make Student-t of normal noise, from expected squared distances (n,).

    One step of expectation maximisation, weights at most 1 (Lange, Little & Taylor 1989, J. Am. Stat.
    Assoc. 84, 881, eq. 5).
    """
    inverse_weight = (FREEDOM + square / noise) / (FREEDOM + 1.0)
    return np.asarray(noise * np.maximum(inverse_weight - 1.0, 0.0))


def unlike_others(inverse: AnyFloatArray, z: AnyFloatArray, limited: AnyFloatArray) -> FloatArray:
    """Extra noise variances by what all other targets, limited by `winsorise`, predict.

    Rasmussen & Williams 2006, eqs. 5.10 to 5.12: a kernel follows a spoilt target, but not one unseen.
    """
    own = np.diagonal(inverse, axis1=-2, axis2=-1)
    return student_noise((z - limited + inverse @ limited / own) ** 2, 1.0 / own)
