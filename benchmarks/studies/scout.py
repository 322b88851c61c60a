"""Does ``scout`` find the kinds of curve, and map, better than the others?  And is the engine calibrated?

    python benchmarks/studies/scout.py            the verdict (films that nothing was tuned on)
    python benchmarks/studies/scout.py --smoke    seconds, to see that it runs

Films of the presets reference, s26 and s23, seeds 8500 and up for the verdict (8000 to 8005 were
used while the policy and the engine were made), another seed for every film, dark and 0.1 sun in
turn, triangle to 1.5 V in 251 samples, 2 pA of noise, 60 curves.  Discovery: mean over the steps of
the share of three examples of each archetype in hand, from the exact expectation of random sampling
(0) to the ideal (1).  Mapping: 1 - error of the referee's map after 60 curves (``dkl`` with its
defaults, fitted to the run's data, scored where the film conducts) over that of the random policy.
Engine: held-out noisy targets of 60 and 210 random curves that conduct, against the constant mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from grainscout.analysis import metrics
from grainscout.analysis.curves.descriptors import describe
from grainscout.policies import make_policy
from grainscout.policies.models.training_targets import at_floor
from grainscout.records import Budget, IVCurve, Outcome, Problem, Site, Waveform
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.simulator import PRESETS, Film

NOISE = 2e-12  # A
EXAMPLES = 3
DESCRIPTORS = ("turn_on", "loop_area", "log_max_current")
Variant = tuple[str, Mapping[str, Any]]
POLICIES: dict[str, Variant] = {
    "random": ("random", {}),
    "structure-only": ("structure-only", {}),
    "dkl, before": ("dkl", {"features": "jets", "position": False, "spots": "use"}),
    "dkl": ("dkl", {}),
    "dual-novelty": ("dual-novelty", {}),
    "scout": ("scout", {}),
    "scout, no prior": ("scout", {"prior": "none"}),
    "scout, mapping": ("scout", {"aim": "mapping"}),
}
ENGINES: dict[str, dict[str, Any]] = {
    "before": {"features": "jets", "position": False, "spots": "use"},
    "no spots": {"features": "jets", "position": False},
    "+ position": {"features": "jets"},
    "+ structure (default)": {},
}


class Stage:
    """A film with all its curves, ready for many runs."""

    def __init__(self, seed: int, preset: str, curves: int) -> None:
        film = Film.generate(PRESETS[preset], seed)
        rows, columns = film.shape
        grid = np.mgrid[8 : rows - 7, 8 : columns - 7]
        self.sites = np.stack([grid[0].ravel(), grid[1].ravel()], axis=1)
        self.waveform, self.seed, self.curves = Waveform.triangle(), seed, curves
        light = 0.1 * (seed % 2)
        clean, _ = film.curves(self.sites, self.waveform, light=light)
        self.current = clean + np.random.default_rng([seed, 1]).normal(0.0, NOISE, clean.shape)
        self.archetype = film.archetype[self.sites[:, 0], self.sites[:, 1]]
        self.problem = Problem(
            scan=film.scan(),
            candidates=self.sites,
            waveform=self.waveform,
            budget=Budget(curves=curves),
            light=light,
            target="loop_area",
        )
        found = describe("loop_area", self.waveform.voltage, clean)
        usable = found.valid & ~found.censored & (self.archetype < 3)
        self.truth = np.where(usable, found.value, np.nan)
        self.index = {(int(r), int(c)): k for k, (r, c) in enumerate(self.sites)}

    def outcome(self, k: int, step: int, name: str | None = None) -> Outcome:
        """The curve of candidate k."""
        curve = IVCurve(
            voltage=self.waveform.voltage, current=self.current[k], time=self.waveform.time
        )
        return Outcome(
            site=self.site(k),
            status="ok",
            curve=curve,
            proposal_id=name,
            started=1.5 * step,
            finished=1.5 * step + 1.2,
        )

    def site(self, k: int) -> Site:
        """Candidate k as a site."""
        return Site(*map(int, self.sites[k]))

    def run(self, variant: Variant) -> dict[str, float]:
        """Discovery score, diamonds found, and the error of the referee's map."""
        policy = make_policy(*variant)
        policy.reset(self.problem, rng=np.random.default_rng([self.seed, 3]))
        visited: list[int] = []
        for step in range(self.curves):
            (proposal,) = policy.ask()
            visited.append(self.index[tuple(proposal.site)])
            policy.tell([self.outcome(visited[-1], step, proposal.id)])
        kinds = tuple(k for k in range(3) if (self.archetype == k).any())
        seen = self.archetype[visited].astype(np.int64)
        found = metrics.found_trace(seen, kinds, examples=EXAMPLES).mean()
        chance = metrics.found_by_random(
            [int((self.archetype == k).sum()) for k in kinds],
            self.curves,
            total=len(self.archetype),
            examples=EXAMPLES,
        ).mean()
        steps = np.arange(1, self.curves + 1)
        ideal = np.minimum(steps / (EXAMPLES * len(kinds)), 1.0).mean()
        mean, _ = self.referee(np.array(visited), {})
        known = np.isfinite(self.truth)
        error = np.sqrt(np.mean((mean - self.truth)[known] ** 2)) / self.truth[known].std()
        return {
            "discovery": float((found - chance) / (ideal - chance)),
            "diamonds": float((seen == 2).sum()),
            "error": float(error),
        }

    def referee(
        self, visited: IntArray, options: Mapping[str, Any]
    ) -> tuple[FloatArray, FloatArray]:
        """``dkl`` fitted once to these curves: mean, and standard deviation of a noisy target."""
        model: Any = make_policy("dkl", options)
        model.reset(self.problem, rng=np.random.default_rng(0))
        model.tell([self.outcome(int(k), step) for step, k in enumerate(visited)])
        mean, std = model.predict()
        noise = model._ahead[0].noise if model._ahead else model.surrogate.noise
        return mean, np.sqrt(std**2 + noise)

    def calibration(self, count: int) -> list[dict[str, Any]]:
        """Scores of the engines on held-out curves that conduct, for each descriptor."""
        order = np.random.default_rng([self.seed, 4]).permutation(len(self.sites))[:count]
        dead = at_floor(self.current)
        rows = []
        for name in DESCRIPTORS:
            described = describe(name, self.waveform.voltage, self.current)
            y, usable = described.value, described.valid & np.isfinite(described.value) & ~dead
            test, train = usable.copy(), order[usable[order]]
            test[order] = False
            constant = _nll(y[test], y[train].mean(), y[train].std(ddof=1))
            flat = np.sqrt(np.mean((y[test] - y[train].mean()) ** 2))
            for engine, options in ENGINES.items():
                mean, width = self.referee(order, {**options, "target": name})
                away = y[test] - mean[test]
                nll = _nll(y[test], mean[test], width[test])
                error = np.sqrt(np.mean(away**2)) / flat
                rows.append(
                    {
                        "curves": count,
                        "engine": engine,
                        "error": error,
                        "nll - constant's": nll - constant,
                        "better NLL": nll < constant,
                        "better error": error < 1,
                        "coverage": (np.abs(away) < 1.96 * width[test]).mean(),
                    }
                )
        return rows


def _nll(y: FloatArray, mean: Any, std: Any) -> float:
    return float(np.mean(np.log(std) + 0.5 * ((y - mean) / std) ** 2) + 0.5 * np.log(2 * np.pi))


def paired(results: pd.DataFrame, score: str, ours: str = "scout") -> str:
    """`ours` minus each rival with a 95 % bootstrap interval over films, in Markdown."""
    wide = results.pivot(index="film", columns="policy", values=score)
    lines = []
    for name in results["policy"].unique():
        if name == ours:
            continue
        d = (wide[ours] - wide[name]).to_numpy()
        draws = np.random.default_rng(0).choice(d, (4000, len(d))).mean(1)
        low, high = np.quantile(draws, [0.025, 0.975])
        lines.append(f"| {ours} - {name} | {d.mean():+.3f} [{low:+.3f}, {high:+.3f}] |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="one tiny film, few curves")
    parser.add_argument("--films", type=int, default=8, help="films of each preset")
    parser.add_argument("--first", type=int, default=8500, help="first seed")
    parser.add_argument("--out", type=Path, help="folder for the Parquet tables")
    args = parser.parse_args()
    names = ["tiny"] if args.smoke else ["reference", "s26", "s23"]
    curves, films = (14, 1) if args.smoke else (60, args.films)
    rows, checks = [], []
    for k in range(films * len(names)):
        preset = names[k % len(names)]
        stage = Stage(args.first + k, preset, curves)
        for name, variant in POLICIES.items():
            rows.append({"film": args.first + k, "policy": name, **stage.run(variant)})
        counts = (60, 210) if k % 3 == k // 3 % 3 else ()  # of each preset in turn
        for count in (20,) if args.smoke else counts:
            checks += stage.calibration(count)
        print(f"film {args.first + k} ({preset}) done", flush=True)
    results = pd.DataFrame(rows)
    calibration = pd.DataFrame(checks)
    if args.out:
        results.to_parquet(args.out / f"scout_{args.first}.parquet")
        calibration.to_parquet(args.out / f"engines_{args.first}.parquet")
    report(results, calibration)


def report(results: pd.DataFrame, calibration: pd.DataFrame) -> None:
    """Print means, paired differences and the engines' calibration."""
    random = results[results["policy"] == "random"].set_index("film")["error"]
    results["mapping"] = 1.0 - results["error"] / results["film"].map(random)
    print(results.drop(columns="film").groupby("policy", sort=False).mean().round(3).to_string())
    for score in ("discovery", "mapping"):
        print(f"\n{score}\n{paired(results, score)}")
    print(f"\nmapping\n{paired(results, 'mapping', 'scout, mapping')}\n")
    table = calibration.groupby(["curves", "engine"], sort=False).mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
