"""Which dual-novelty options find rare curves soonest?  The study behind the defaults.

    python benchmarks/studies/dual_novelty.py            one option at a time, then the verdict
    python benchmarks/studies/dual_novelty.py --smoke    seconds, to see that it runs

Films of the reference preset, seeds 7000 to 7499 for the choice and 7500 and up for the verdict (no
test uses them), dark and 0.1 sun in turn, triangle to 1.5 V in 251 samples, 2 pA of noise, 10 + 200
curves.  Scores per run: the step at which the last of the four archetypes was first measured
(`all`) and at which all had been measured five times (`all 5`; the budget + 1 if never), the share of diamond sites among the measured over that on
the film (`diamond x`), the same for hearts and insulating spots, and the mean pairwise distance of
the curves over that of random sites (`diversity x`).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from grainscout.policies import make_policy
from grainscout.records import Budget, IVCurve, Outcome, Problem, Waveform
from grainscout.simulator import PRESETS, Film

NOISE = 2e-12  # A
ARCHETYPES = ("club", "heart", "diamond", "insulating")
Variant = tuple[str, Mapping[str, Any]]

RIVALS: dict[str, Variant] = {
    "random": ("random", {}),
    "dkl": ("dkl", {}),
    "dkl ucb": ("dkl", {"acquisition": "ucb"}),
}
BASE: dict[str, Any] = {
    "spectral": "mean",
    "metric": "l2",
    "novelty": "refreshed",
    "image": "invariant",
    "gate": "product",
    "acquisition": "ucb",
    "features": "jets",
}
CHANGES: list[dict[str, Any]] = [
    {},
    {"gate": "none"},
    {"gate": "quantile"},
    {"gate": "quantile", "quantile": 0.8},
    {"gate": "probability"},
    {"spectral": "nearest"},
    {"spectral": "mean-curve"},
    {"spectral": "reconstruction"},
    {"metric": "correlation"},
    {"metric": "split"},
    {"novelty": "frozen"},
    {"image": "patch"},
    {"acquisition": "ei"},
    {"acquisition": "max-uncertainty"},
    {"acquisition": "thompson"},
    {"features": "both"},
]
#: What the first table suggests, together.
COMBINED: list[dict[str, Any]] = [
    {},
    {"image": "patch"},
    {"features": "both"},
    {"features": "both", "image": "patch"},
    {"features": "both", "image": "patch", "novelty": "frozen"},
    {"features": "both", "image": "patch", "metric": "correlation"},
    {"features": "both", "image": "patch", "metric": "split"},
    {"features": "both", "image": "patch", "gate": "quantile"},
    {"features": "both", "image": "patch", "spectral": "nearest"},
    {"features": "both", "metric": "split", "acquisition": "ei"},
    {"features": "both", "spectral": "reconstruction"},
    {"features": "both", "spectral": "reconstruction", "metric": "split"},
    {"features": "both", "metric": "correlation"},
]


class Stage:
    """A film with all its curves, ready for many runs."""

    def __init__(self, seed: int, preset: str, curves: int) -> None:
        film = Film.generate(PRESETS[preset], seed)
        rows, columns = film.shape
        grid = np.mgrid[8 : rows - 7, 8 : columns - 7]
        sites = np.stack([grid[0].ravel(), grid[1].ravel()], axis=1)
        self.waveform = Waveform.triangle()
        light = 0.1 * (seed % 2)
        current, _ = film.curves(sites, self.waveform, light=light)
        noise = np.random.default_rng([seed, 1]).normal(0.0, NOISE, current.shape)
        self.current = current + noise
        self.archetype = film.archetype[sites[:, 0], sites[:, 1]]
        self.problem = Problem(
            scan=film.scan(),
            candidates=sites,
            waveform=self.waveform,
            budget=Budget(curves=curves),
            light=light,
        )
        self.index = {(int(r), int(c)): k for k, (r, c) in enumerate(sites)}
        some = np.random.default_rng([seed, 2]).choice(len(sites), 300, replace=False)
        self.spread = _pairwise(self.current[some])

    def run(self, variant: Variant, seed: int, curves: int) -> dict[str, float]:
        """Scores of one run."""
        policy = make_policy(*variant)
        policy.reset(self.problem, rng=np.random.default_rng([seed, 3]))
        visited = []
        for step in range(curves):
            (proposal,) = policy.ask()
            k = self.index[tuple(proposal.site)]
            visited.append(k)
            curve = IVCurve(
                voltage=self.waveform.voltage, current=self.current[k], time=self.waveform.time
            )
            policy.tell(
                [
                    Outcome(
                        site=proposal.site,
                        status="ok",
                        curve=curve,
                        proposal_id=proposal.id,
                        started=1.5 * step,
                        finished=1.5 * step + 1.2,
                    )
                ]
            )
        seen = self.archetype[visited]
        present = [k for k in range(4) if (self.archetype == k).any()]
        scores = {}
        for name, times in (("all", 1), ("all 5", 5)):
            counts = np.stack([np.cumsum(seen == k) for k in present])
            reached = np.flatnonzero((counts >= times).all(axis=0))
            scores[name] = float(reached[0] + 1 if reached.size else curves + 1)
        for k, name in enumerate(ARCHETYPES[1:], start=1):
            share = float((self.archetype == k).mean())
            scores[f"{name} x"] = float((seen == k).mean()) / share if share else np.nan
        scores["diversity x"] = _pairwise(self.current[visited]) / self.spread
        return scores


def _pairwise(curves: np.ndarray) -> float:
    square = (curves**2).sum(1)
    d = square[:, None] + square - 2 * curves @ curves.T
    count = len(curves)
    return float(np.sqrt(np.maximum(d, 0)).sum() / (count * (count - 1)))


def race(
    variants: Mapping[str, Variant], seeds: range, *, preset: str, curves: int
) -> pd.DataFrame:
    """One row for each film and variant."""
    rows = []
    for seed in seeds:
        stage = Stage(seed, preset, curves)
        for name, variant in variants.items():
            rows.append({"film": seed, "policy": name, **stage.run(variant, seed, curves)})
        print(f"film {seed} done", flush=True)
    return pd.DataFrame(rows)


def table(results: pd.DataFrame, against: str | None = None) -> str:
    """Means over films in Markdown; with `against`, paired differences and 95 % intervals."""
    scores = [c for c in results.columns if c not in ("film", "policy")]
    names = list(dict.fromkeys(results["policy"]))
    lines = [f"| policy | {' | '.join(scores)} |", "|---" * (len(scores) + 1) + "|"]
    wide = {s: results.pivot_table(index="film", columns="policy", values=s) for s in scores}
    for name in names:
        cells = []
        for s in scores:
            if against is None:
                cells.append(f"{wide[s][name].mean():.2f}")
            else:
                d = (wide[s][against] - wide[s][name]).dropna().to_numpy()
                draws = np.random.default_rng(0).choice(d, (4000, len(d))).mean(1)
                low, high = np.quantile(draws, [0.025, 0.975])
                cells.append(f"{d.mean():+.2f} [{low:+.2f}, {high:+.2f}]")
        if name != against:
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="tiny films, few curves")
    parser.add_argument("--films", type=int, default=8, help="films for the choice")
    parser.add_argument("--verdict", type=int, default=16, help="films for the verdict")
    parser.add_argument("--out", type=Path, help="folder for the Parquet tables")
    args = parser.parse_args()
    preset, curves = ("tiny", 20) if args.smoke else ("reference", 210)
    films, verdict = (1, 2) if args.smoke else (args.films, args.verdict)

    rounds = {"One option at a time": (CHANGES, 7000), "Together": (COMBINED, 7200)}
    for title, (changes, first) in rounds.items() if films else ():
        variants = dict(RIVALS)
        for change in changes[:3] if args.smoke else changes:
            name = ", ".join(f"{k}={v}" for k, v in change.items()) or "base"
            variants[name] = ("dual-novelty", {**BASE, **change})
        choice = race(variants, range(first, first + films), preset=preset, curves=curves)
        print(f"\n{title}, means over {films} films\n\n{table(choice)}\n")
        if args.out:
            choice.to_parquet(args.out / f"dual_novelty_{first}.parquet")
    if verdict:
        final = {**RIVALS, "dual-novelty": ("dual-novelty", {})}
        judged = race(final, range(7500, 7500 + verdict), preset=preset, curves=curves)
        print(f"\nThe defaults, means over {verdict} other films\n\n{table(judged)}\n")
        print(f"dual-novelty minus each rival, paired by film\n\n{table(judged, 'dual-novelty')}")
        if args.out:
            judged.to_parquet(args.out / "dual_novelty_verdict.parquet")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
