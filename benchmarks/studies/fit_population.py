"""Archetypes and spread of a population of measured curves, as the preset "gong2026-fitted" has them.

    python benchmarks/studies/fit_population.py curves.npz                   prints the table of simulator/fitted.py
    python benchmarks/studies/fit_population.py curves.npz --leave-one-out   judges by curves left out

A curve alone leaves half of its parameters undetermined, and draws of such fits are curves that nobody measured.
So the curves are fitted together: each under a Gaussian prior, whose centre and width are those of all fits, until
neither changes much.  What no curve needs then stays common to all.  Clubs are the curves with less than `SHARE`
of their opening below 0.42 V, hearts the others (there is a gap between .14 and .18), diamonds those that open
late alone; the spread within clubs and hearts is what `modes` holds.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from grainscout.analysis.curves.archetypes import classification
from grainscout.records.arrays import BoolArray, FloatArray
from grainscout.simulator import PRESETS, Film, fit_iv
from grainscout.simulator.transport.fit_model import (
    FREE,
    Model,
    coordinate,
    draw_prior,
    usable_curves,
    value,
)
from grainscout.simulator.transport.least_squares import levenberg
from grainscout.simulator.transport.parameters import TransportGlobals
from grainscout.simulator.verification.population import curve_features, film_curves
from grainscout.simulator.verification.realism import rank_of

SHARE, LATE_V, MODES = 0.16, 1.2, 5
WINDOW = (-0.1e-9, 0.5e-9)
_MISFIT_NA, _ROUNDS, _STEPS, _LEAST = 0.01, 8, 40, 0.03


def fitted_together(model: Model, points: FloatArray) -> FloatArray:
    """Points (n, q) of n curves under their common prior."""
    own, prior = np.arange(len(points)), model.prior
    centre, width = points.mean(axis=0), prior.width
    residual_size = np.full(len(points), _MISFIT_NA)
    for _ in range(_ROUNDS):
        model = replace(model, prior=replace(prior, centre=centre, width=width))
        residuals = model.residuals(residual_size)
        starts = (points, np.tile(centre, (len(points), 1)), 0.5 * (points + centre))
        low, high = prior.low, prior.high
        margin = 1e-6 * (high - low)
        tries = [
            levenberg(residuals, np.clip(s, low + margin, high - margin), own, low, high, _STEPS)
            for s in starts
        ]
        best = np.argmin([cost for _, cost in tries], axis=0)
        points = np.stack([tries[b][0][i] for i, b in enumerate(best)])
        centre = points.mean(axis=0)
        width = np.maximum(points.std(axis=0, ddof=1), _LEAST * prior.width)
    return points


def measured(path: str) -> SimpleNamespace:
    """Read and fit the curves one by one."""
    with np.load(path) as file:
        voltage, current, status = (file[k] for k in ("voltage", "current_nA", "status"))
    fits = fit_iv(voltage, 1e-9 * current, clipped=status, window=WINDOW)
    lobes = classification(voltage, np.stack([fit.current for fit in fits])).lobes
    points = [
        [*(float(coordinate(n, (fit.parameters[n],))[0]) for n in FREE), 1e9 * fit.offset]
        for fit in fits
    ]
    return SimpleNamespace(
        voltage=voltage,
        current=current,
        status=status,
        points=np.array(points),
        low_share=lobes.low_share,
        late=lobes.centre > LATE_V,
        conducts=np.nanmax(np.where(status > 0, 0.5, current), axis=1) > 0.1,
    )


def population(real: SimpleNamespace, use: BoolArray) -> tuple[dict[str, Any], float]:
    """Settings `archetypes` and `modes` of a film like the curves `use`, and their mean offset [nA]."""
    some = np.flatnonzero(use & real.conducts & ~real.late)
    curves = usable_curves(real.voltage, 1e-9 * real.current[some], None, real.status[some], WINDOW)
    constants = TransportGlobals(Ioff=0.0, Cs=TransportGlobals().Cs / curves.unit)
    model = Model(
        curves=curves, prior=draw_prior(), light=0.1, temperature=298.0, constants=constants
    )
    points = fitted_together(model, real.points[some])
    kind = (real.low_share[some] > SHARE).astype(np.int64)
    late = real.late & real.conducts
    means = [points[kind == k].mean(axis=0) for k in (0, 1)] + [real.points[late].mean(axis=0)]
    width = model.prior.width
    _, size, axes = np.linalg.svd((points - np.stack(means[:2])[kind]) / width, full_matrices=False)
    loadings = (axes * size[:, None])[:MODES].T * width[:, None] / np.sqrt(len(some) - 2)
    archetypes, modes = {}, {}
    for j, name in enumerate(FREE):
        archetypes[name] = tuple(float(f"{float(value(name, m[j])):.3g}") for m in means)
        modes[name] = tuple(round(float(x), 3) for x in loadings[j])
    return {"archetypes": archetypes, "modes": modes}, float(points[:, -1].mean())


def left_out(real: SimpleNamespace) -> float:
    """AUC of real curves against films fitted without them, by a rule that did not see them."""
    shown = np.where(real.status > 0, 0.5, np.where(real.status < 0, -0.1, real.current))
    features = curve_features(real.voltage, shown)
    ranks = []
    for k in np.flatnonzero(real.conducts):
        use = np.arange(len(shown)) != k
        own, _ = population(real, use)
        spec = PRESETS["gong2026-fitted"]
        film = Film.generate(replace(spec, transport=replace(spec.transport, **own)), 1000 + int(k))
        simulated = film_curves(film, int(k))
        ranks.append(rank_of(features[k], simulated, features[use & real.conducts]))
        print(f"curve {k}: {ranks[-1]:.2f} of simulated curves look less real", flush=True)
    return float(np.mean(ranks))


def main() -> None:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("curves", help="an .npz with voltage, current_nA and status")
    options.add_argument("--leave-one-out", action="store_true", help="judge by curves left out")
    given = options.parse_args()
    real = measured(given.curves)
    if given.leave_one_out:
        print(f"AUC of curves left out: {left_out(real):.2f}")
        return
    found, offset = population(real, np.ones(len(real.current), bool))
    for name in FREE:
        print(f'    "{name}": ({found["archetypes"][name]}, {found["modes"][name]}),')
    print(f"offset {offset:.4f} nA")


if __name__ == "__main__":
    main()
