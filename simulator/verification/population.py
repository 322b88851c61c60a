"""Populations of curves and patches: simulated films against real ones, and against one another."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from grainscout.records import DataError, FloatArray, Waveform, spawn_streams
from grainscout.simulator.film.film import Film
from grainscout.simulator.presets import preset
from grainscout.simulator.verification.realism import patch_features, patches_of, separation
from grainscout.simulator.verification.transport import Check

#: What a published figure shows of a curve [nA].
WINDOW = (-0.1, 0.5)
#: A curve that spans less than this [nA] conducts too little to be compared.
_CONDUCTS = 0.3
_LEVELS = (0.02, 0.1, 0.2, 0.4)  # nA
_LOW, _MIDDLE = (0.0, 0.2, 0.3), 0.42  # V
_FILMS, _SITES, _FEWEST = 4, 200, 3


def curve_features(voltage: FloatArray, current: FloatArray) -> FloatArray:
    """Descriptors (n, 17) of curves (n, samples) [nA] of one triangle, as `WINDOW` shows them."""
    top = int(voltage.argmax())
    grid = np.arange(0.0, 1.5, 0.012)
    shown = np.clip(current, *WINDOW)
    branches = [
        np.stack([np.interp(grid, voltage[part][::step], c[part][::step]) for c in shown])
        for part, step in ((slice(0, top + 1), 1), (slice(top, None), -1))
    ]
    columns = [
        np.where((branch >= level).any(1), grid[(branch >= level).argmax(1)], 1.6)
        for branch in branches
        for level in _LEVELS
    ]
    columns += [branch[:, np.searchsorted(grid, v)] for v in _LOW for branch in branches]
    opening, low = branches[1] - branches[0], grid < _MIDDLE
    columns += [opening[:, low].mean(1), opening[:, ~low].mean(1), np.abs(opening).max(1)]
    return np.column_stack(columns)


def verify_population(path: str | Path, film: str = "gong2026-fitted") -> Iterator[Check]:
    """Compare a preset's films with the real curves and patches of an ``.npz`` (DataError if it is unusable)."""
    try:
        with np.load(path) as file:
            voltage, patches = file["voltage"], file["patches"]
            shown = np.where(file["status"] > 0, WINDOW[1], file["current_nA"])
            shown = np.where(file["status"] < 0, WINDOW[0], shown)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} must be an .npz file with voltage, current_nA, status and patches: {error}"
        ) from error
    rises = np.sign(np.diff(voltage))
    if not (
        shown.shape[1:] == voltage.shape
        and np.isfinite(shown).all()
        and (np.diff(rises) <= 0).all()
        and rises.all()
        and np.isclose([voltage[0], voltage.max(), voltage[-1]], [0.0, 1.5, 0.0], atol=0.02).all()
    ):
        raise DataError(
            f"{path} must hold a triangle 0, 1.5, 0 V and as many finite currents wherever status is 0; got "
            f"{voltage.size} voltages to {voltage.max():g} V, currents {shown.shape}"
        )
    films = [Film.generate(preset(film), spawn_streams(seed).film) for seed in range(_FILMS)]
    curves = [film_curves(f, seed) for seed, f in enumerate(films)]
    rngs = map(np.random.default_rng, range(_FILMS))
    images = [
        patch_features(patches_of(f.scan().height, 60, rng))
        for f, rng in zip(films, rngs, strict=True)
    ]
    for noun, simulated, real, limit in (
        ("curves", curves, _conducting(voltage, shown), 0.75),
        ("patches", images, patch_features(patches), 0.65),
    ):
        count = len(real)
        among = [
            separation(np.concatenate(simulated[:k] + simulated[k + 1 :]), simulated[k][:count])
            for k in range(_FILMS)
        ]
        yield Check(
            f"{film}: real against simulated {noun} (AUC; film against film {np.mean(among):.2f})",
            separation(np.concatenate(simulated), real),
            high=limit,
        )


def film_curves(film: Film, seed: int) -> FloatArray:
    """Descriptors of the conducting ones of some of a film's noiseless curves, at 0.1 sun."""
    sites = np.random.default_rng(seed).integers(0, film.shape, (_SITES, 2))
    sweep = Waveform.triangle(duration=film.spec.transport.sweep_s)
    current, _ = film.curves(sites, sweep, light=0.1)
    return _conducting(sweep.voltage, 1e9 * current)


def _conducting(voltage: FloatArray, current: FloatArray) -> FloatArray:
    conducts = np.ptp(np.clip(current, *WINDOW), axis=1) > _CONDUCTS
    if conducts.sum() < _FEWEST:
        raise DataError(
            f"curves to compare must be {_FEWEST} or more that span {_CONDUCTS} nA; got {conducts.sum()}"
        )
    return curve_features(voltage, current[conducts])
