"""Predictions of ``dkl`` beside its peers and a constant.

    python benchmarks/studies/prediction.py            all films (peers: pip install -e '.[peers]')
    python benchmarks/studies/prediction.py --smoke    seconds, to see that it runs

Films of the presets reference, s26 and s23 in turn, seeds 9700 and up (nothing was tuned on them), another
seed for every film, dark and 0.1 sun in turn.  Each model is fitted once to 210 random curves and predicts
the noisy target of every other site that conducts: error over that of the constant mean, Gaussian negative
log likelihood less the constant's, coverage of the 95 % interval.  A case is a film and a descriptor.  The
peers have the help that ``dkl`` has: curves of dead contacts are left out of what they learn.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from grainscout.analysis.curves.descriptors import describe
from grainscout.policies import make_policy
from grainscout.policies.models.training_targets import at_floor
from grainscout.records import Budget, FloatArray, IVCurve, Outcome, Problem, Site, Waveform
from grainscout.simulator import PRESETS, Film

NOISE = 2e-12  # A
DESCRIPTORS = ("turn_on", "loop_area", "log_max_current")
NAMES = ("reference", "s26", "s23")
OURS = "dkl"
PEERS = {"botorch": "peer-botorch", "atomai": "peer-atomai"}


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredFilm:
    """A film with all its noisy curves."""

    seed: int
    problem: Problem
    current: FloatArray

    @classmethod
    def of(cls, seed: int, preset: str, curves: int) -> MeasuredFilm:
        """Measure every site of a film."""
        film = Film.generate(PRESETS[preset], seed)
        rows, columns = film.shape
        sites = np.mgrid[8 : rows - 7, 8 : columns - 7].reshape(2, -1).T
        problem = Problem(
            scan=film.scan(),
            candidates=sites,
            waveform=Waveform.triangle(),
            budget=Budget(curves=curves),
            light=0.1 * (seed % 2),
            target="loop_area",
        )
        clean, _ = film.curves(sites, problem.waveform, light=problem.light)
        noise = np.random.default_rng([seed, 1]).normal(0.0, NOISE, clean.shape)
        return cls(seed=seed, problem=problem, current=clean + noise)

    def outcome(self, k: int, step: int) -> Outcome:
        """The curve of candidate k."""
        wave = self.problem.waveform
        return Outcome(
            site=Site(*map(int, self.problem.candidates[k])),
            status="ok",
            curve=IVCurve(voltage=wave.voltage, current=self.current[k], time=wave.time),
            started=1.5 * step,
            finished=1.5 * step + 1.2,
        )


def cases(film: MeasuredFilm, count: int, models: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A row for each descriptor and model."""
    order = np.random.default_rng([film.seed, 4]).permutation(len(film.current))[:count]
    dead = at_floor(film.current)
    outcomes = [film.outcome(int(k), step) for step, k in enumerate(order)]
    for descriptor in DESCRIPTORS:
        described = describe(descriptor, film.problem.waveform.voltage, film.current)
        y, usable = described.value, described.valid & np.isfinite(described.value) & ~dead
        test, train = usable.copy(), order[usable[order]]
        test[order] = False
        flat = np.full(len(y), y[train].mean()), np.full(len(y), y[train].std(ddof=1))
        predictions = {"constant": flat}
        for name, policy in models.items():
            model: Any = make_policy(policy, {"target": descriptor})
            model.reset(film.problem, rng=np.random.default_rng(0))
            model.tell(outcomes)
            mean, std = model.predict()
            noise = model._ahead[0].noise if model._ahead else model.surrogate.noise
            predictions[name] = mean, np.sqrt(std**2 + noise)
        for name, (mean, width) in predictions.items():
            away, spread = (y - mean)[test], width[test]
            yield {
                "film": film.seed,
                "descriptor": descriptor,
                "model": name,
                "error": float(np.sqrt(np.mean(away**2))),
                "nll": nll(away, spread),
                "coverage": float((np.abs(away) < 1.96 * spread).mean()),
            }


def nll(away: FloatArray, spread: FloatArray) -> float:
    """Mean Gaussian negative log likelihood."""
    return float(np.mean(np.log(spread) + 0.5 * (away / spread) ** 2) + 0.5 * np.log(2 * np.pi))


def report(rows: pd.DataFrame) -> None:
    """Print the means, and in how many cases ``dkl`` is the better one."""
    case = ["film", "descriptor"]
    flat = rows[rows["model"] == "constant"].set_index(case)
    rows = rows.set_index(case)
    rows["error"] /= flat["error"].reindex(rows.index)
    rows["nll - constant's"] = rows["nll"] - flat["nll"].reindex(rows.index)
    rows["0.90-0.97"] = rows["coverage"].between(0.90, 0.97)
    columns = ["error", "nll - constant's", "coverage", "0.90-0.97"]
    print(rows.groupby("model", sort=False)[columns].mean().round(3).to_string(), "\n")
    ours, better = rows[rows["model"] == OURS], []
    for name, rival in rows[rows["model"] != OURS].groupby("model", sort=False):
        mine = ours.loc[rival.index]
        better.append((mine["error"] < rival["error"]) & (mine["nll"] < rival["nll"]))
        print(
            f"{OURS} better than {name}: by error {(mine['error'] < rival['error']).mean():.0%}, by "
            f"likelihood {(mine['nll'] < rival['nll']).mean():.0%}, by both {better[-1].mean():.0%} of "
            f"{len(rival)} cases"
        )
    every = pd.concat(better, axis=1).dropna().astype(bool).all(axis=1)
    print(f"{OURS} better than all of them by both: {every.mean():.0%} of {len(every)} cases")


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="one tiny film, few curves, no peers")
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--first", type=int, default=9700, help="first seed")
    parser.add_argument("--curves", type=int, default=210)
    parser.add_argument("--out", type=Path, help="CSV of the rows")
    args = parser.parse_args()
    found = {k: v for k, v in PEERS.items() if importlib.util.find_spec(k)}
    models = {OURS: "dkl", **({} if args.smoke else found)}
    presets, films, curves = NAMES, args.films, args.curves
    if args.smoke:
        presets, films, curves = ("tiny",), 1, 40
    rows: list[dict[str, Any]] = []
    for k in range(films):
        film = MeasuredFilm.of(args.first + k, presets[k % len(presets)], curves)
        rows += cases(film, curves, models)
        if args.out:
            pd.DataFrame(rows).to_csv(args.out, index=False)
        print(f"film {args.first + k} done", flush=True)
    report(pd.DataFrame(rows))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
