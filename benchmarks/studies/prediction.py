"""How well does the engine of ``dkl`` predict, beside its peers and a constant?

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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scout import DESCRIPTORS, Stage
from threadpoolctl import threadpool_limits

from grainscout.analysis.curves.descriptors import describe
from grainscout.policies import make_policy
from grainscout.policies.models.training_targets import at_floor
from grainscout.records.arrays import FloatArray

PRESETS = ("reference", "s26", "s23")
OURS = "dkl"
PEERS = {"botorch": "peer-botorch", "atomai": "peer-atomai"}


def cases(stage: Stage, count: int, models: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A row for each descriptor and model."""
    order = np.random.default_rng([stage.seed, 4]).permutation(len(stage.sites))[:count]
    dead = at_floor(stage.current)
    outcomes = [stage.outcome(int(k), step) for step, k in enumerate(order)]
    for descriptor in DESCRIPTORS:
        described = describe(descriptor, stage.waveform.voltage, stage.current)
        y, usable = described.value, described.valid & np.isfinite(described.value) & ~dead
        test, train = usable.copy(), order[usable[order]]
        test[order] = False
        flat = np.full(len(y), y[train].mean()), np.full(len(y), y[train].std(ddof=1))
        predictions = {"constant": flat}
        for name, policy in models.items():
            model: Any = make_policy(policy, {"target": descriptor})
            model.reset(stage.problem, rng=np.random.default_rng(0))
            model.tell(outcomes)
            mean, std = model.predict()
            noise = model._ahead[0].noise if model._ahead else model.surrogate.noise
            predictions[name] = mean, np.sqrt(std**2 + noise)
        for name, (mean, width) in predictions.items():
            away, spread = (y - mean)[test], width[test]
            yield {
                "film": stage.seed,
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
    presets, films, curves = PRESETS, args.films, args.curves
    if args.smoke:
        presets, films, curves = ("tiny",), 1, 40
    rows: list[dict[str, Any]] = []
    for k in range(films):
        stage = Stage(args.first + k, presets[k % len(presets)], curves)
        rows += cases(stage, curves, models)
        if args.out:
            pd.DataFrame(rows).to_csv(args.out, index=False)
        print(f"film {args.first + k} done", flush=True)
    report(pd.DataFrame(rows))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
