"""What faults of the instrument do to descriptors and archetypes: each fault on, the others off.

    python benchmarks/studies/descriptor_faults.py            the tables, over films of both materials
    python benchmarks/studies/descriptor_faults.py --smoke    seconds, to see that it runs

Seeds 9600 and up, 0.1 sun, 150 random sites in the same order on every rung. Truth is the film's noiseless curve at
the site that was asked for. Columns: balanced accuracy of the archetypes; mean |error| of a descriptor over that of the
constant guess, as which a curve without a value counts; share of measurements that gave a curve; of these, share valid.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from threadpoolctl import threadpool_limits

from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, classify
from grainscout.analysis.curves.descriptors import describe_all
from grainscout.benchmarks.regression.films import plain_values
from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.instrument import FAULT_LADDERS

FIRST_SEED, LIGHT = 9600, 0.1
SHOWN = ("none", "all-severe")  # whose confusion is printed


def measured(
    film: Film, rung: str, seed: int, curves: int
) -> tuple[dict[str, float], pd.DataFrame]:
    """Scores of one rung on one film, and the true and found archetype of each curve."""
    microscope = SimulatedMicroscope(film, FAULT_LADDERS[rung], seed=spawn_streams(seed).instrument)
    waveform = Waveform.triangle()
    problem = make_problem(microscope, waveform, Budget(curves=curves), light=LIGHT)
    run = Experiment(microscope, make_policy("random", {}), problem=problem, seed=seed).run()
    good = [(o.site, o.curve) for o in run.outcomes if o.curve is not None]
    sites = np.array([tuple(site) for site, _ in good])
    current = np.array([curve.current for _, curve in good])
    saturated = np.array([curve.saturated for _, curve in good])
    kinds = pd.DataFrame({"truth": film.archetype[tuple(sites.T)]})
    kinds["found"] = classify(waveform.voltage, current, saturated)
    right = (kinds["truth"] == kinds["found"]).groupby(kinds["truth"]).mean()
    scores = {"archetypes": float(right.mean())}
    values = plain_values(waveform.voltage, film.curves(sites, waveform, light=LIGHT)[0])
    found = describe_all(values, waveform.voltage, current, saturated)
    for name, true in values.items():
        d, known = found[name], np.isfinite(true)
        middle = float(np.median(true[known]))
        # Of a spot that never turns on there is a bound and no value.
        value = np.where(d.valid & ~(d.censored & (name == "turn_on")), d.value, middle)
        error, guess = (np.abs(v - true)[known].sum() for v in (value, middle))
        scores[name] = float(error / guess)
    scores["curves"] = len(good) / len(run.outcomes)
    scores["valid"] = float(np.mean([found[name].valid for name in values]))
    return scores, kinds


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny film, two rungs")
    smoke = parser.parse_args(arguments).smoke
    rows, kinds = [], {rung: [] for rung in SHOWN}
    for preset in ("tiny",) if smoke else ("s26", "s23"):
        for seed in range(FIRST_SEED, FIRST_SEED + (1 if smoke else 4)):
            film = Film.generate(PRESETS[preset], spawn_streams(seed).film)
            for rung in SHOWN if smoke else FAULT_LADDERS:
                scores, found = measured(film, rung, seed, 40 if smoke else 150)
                rows.append({"rung": rung, "preset": preset, "film": seed, **scores})
                kinds.get(rung, []).append(found)
    frame = pd.DataFrame(rows)
    print(table(frame))
    for preset, some in frame.groupby("preset", sort=False):
        print(f"\n{preset}\n\n{table(some)}")
    names = dict(enumerate(ARCHETYPE_NAMES))
    for rung, parts in kinds.items():
        both = pd.concat(parts).replace(names)
        counts = pd.crosstab(both["truth"], both["found"], normalize="index")
        print(f"\n{rung}\n\n{counts.round(2).to_string()}")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
