"""What do faults of the instrument do to descriptors and archetypes?  Each fault on, the others off.

    python benchmarks/studies/descriptor_faults.py            the tables, over films of both materials
    python benchmarks/studies/descriptor_faults.py --smoke    seconds, to see that it runs

Four films of each of the presets s26 and s23, seeds 9600 and up, 0.1 sun, 150 random sites in the same
order on every rung of the fault ladder.  Truth is the film's noiseless curve at the site that was asked for, its archetype
that of the film.  Columns: balanced accuracy of the archetype classifier; mean |error| of a descriptor
over that of the constant guess (0 perfect, 1 a guess; a curve without a value counts as the guess);
share of measurements that gave a curve; of these, the share whose values are flagged valid.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN, classify
from grainscout.analysis.curves.descriptors import describe_all
from grainscout.benchmarks.regression.films import plain_values
from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.records.arrays import IntArray
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.instrument import FAULT_LADDERS

FIRST_SEED, LIGHT, CURVES = 9600, 0.1, 150
SHOWN = ("none", "all-severe")  # whose confusion is printed


def measured(film: Film, rung: str, seed: int, curves: int) -> tuple[dict[str, float], IntArray]:
    """Scores of one rung on one film, and its confusion (4, 5): truth by answer, the last unknown."""
    microscope = SimulatedMicroscope(film, FAULT_LADDERS[rung], seed=spawn_streams(seed).instrument)
    waveform = Waveform.triangle()
    problem = make_problem(microscope, waveform, Budget(curves=curves), light=LIGHT)
    run = Experiment(microscope, make_policy("random", {}), problem=problem, seed=seed).run()
    good = [(o.site, o.curve) for o in run.outcomes if o.curve is not None]
    sites = np.array([tuple(site) for site, _ in good])
    current = np.array([curve.current for _, curve in good])
    saturated = np.array([curve.saturated for _, curve in good])
    truth = film.archetype[tuple(sites.T)]
    kinds = classify(waveform.voltage, current, saturated)
    clean, _ = film.curves(sites, waveform, light=LIGHT)
    values = plain_values(waveform.voltage, clean)
    found = describe_all(values, waveform.voltage, current, saturated)
    scores = {
        "archetypes": float(np.mean([(kinds[truth == k] == k).mean() for k in np.unique(truth)]))
    }
    for name, true in values.items():
        d, known = found[name], np.isfinite(true)
        middle = float(np.median(true[known]))
        # Of a spot that never turns on there is a bound and no value.
        value = np.where(d.valid & ~(d.censored & (name == "turn_on")), d.value, middle)
        guess = np.abs(middle - true[known]).sum()
        scores[name] = float(np.abs(value - true)[known].sum() / guess)
    scores["curves"] = len(good) / len(run.outcomes)
    scores["valid"] = float(np.mean([found[name].valid for name in values]))
    answer = np.where(kinds == UNKNOWN, 4, kinds)
    confusion = np.zeros((4, 5), dtype=np.int64)
    np.add.at(confusion, (truth, answer), 1)
    return scores, confusion


def study(films: int, rungs: Sequence[str], presets: Sequence[str], curves: int) -> tuple[pd.DataFrame, dict[str, IntArray]]:  # fmt: skip
    """A row a film and rung, and the confusion of each rung over all films."""
    rows, confusion = [], {rung: np.zeros((4, 5), dtype=np.int64) for rung in rungs}
    for preset in presets:
        for seed in range(FIRST_SEED, FIRST_SEED + films):
            film = Film.generate(PRESETS[preset], spawn_streams(seed).film)
            for rung in rungs:
                scores, counts = measured(film, rung, seed, curves)
                rows.append({"rung": rung, "preset": preset, "film": seed, **scores})
                confusion[rung] += counts
            print("done:", preset, seed, file=sys.stderr, flush=True)
    return pd.DataFrame(rows), confusion


def table(rows: pd.DataFrame) -> str:
    """Means over films and half of their 95 % Student intervals in Markdown, in the ladder's order."""
    grouped = rows.drop(columns=["film", "preset"]).groupby("rung", sort=False)
    means, n = grouped.mean(), grouped.size().to_numpy()[:, None]
    halves = grouped.std() * stats.t.ppf(0.975, np.maximum(n - 1, 1)) / np.sqrt(n)
    lines = [f"| fault | {' | '.join(means)} |", "|---" * (1 + len(means.columns)) + "|"]
    for rung, row in means.iterrows():
        cells = [
            f"{v:.2f}" + (f" ± {h:.2f}" if h >= 0.005 else "")
            for v, h in zip(row, halves.loc[rung], strict=True)
        ]
        lines.append(f"| {rung} | {' | '.join(cells)} |")
    return "\n".join(lines)


def confusion_table(counts: IntArray) -> str:
    """Truth by answer, shares of each truth, in Markdown."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    lines = [f"| truth | {' | '.join((*ARCHETYPE_NAMES, 'unknown'))} | curves |", "|---" * 7 + "|"]
    lines += [
        f"| {name} | {' | '.join(f'{v:.2f}' for v in row)} | {int(n.sum())} |"
        for name, row, n in zip(ARCHETYPE_NAMES, shares, counts, strict=True)
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny film, two rungs")
    parser.add_argument("--films", type=int, default=4, help="of each material")
    parser.add_argument("--out", type=Path, help="CSV file, a row a film and fault")
    args = parser.parse_args(arguments)
    rungs = list(SHOWN) if args.smoke else list(FAULT_LADDERS)
    presets, curves, films = (["tiny"], 40, 1) if args.smoke else (["s26", "s23"], CURVES, args.films)  # fmt: skip
    rows, confusion = study(films, rungs, presets, curves)
    if args.out:
        rows.to_csv(args.out, index=False)
    print(table(rows))
    for preset, some in rows.groupby("preset", sort=False):
        if len(presets) > 1:
            print(f"\n{preset}\n\n{table(some)}")
    for rung in SHOWN:
        print(f"\n{rung}\n\n{confusion_table(confusion[rung])}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
