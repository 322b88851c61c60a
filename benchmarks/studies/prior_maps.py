"""Maps of `map` against random sites with the robust generic model; see docs/manual/prior.md.

python benchmarks/studies/prior_maps.py OUT.csv native       24 films of the papers' presets
python benchmarks/studies/prior_maps.py OUT.csv current      the same, `map` with the current image, too
python benchmarks/studies/prior_maps.py OUT.csv unlike       other presets, grain sizes and tips
python benchmarks/studies/prior_maps.py OUT.csv foreign      films whose laws the prior does not know
python benchmarks/studies/prior_maps.py OUT.csv discovery    scout's discovery, native and foreign
python benchmarks/studies/prior_maps.py OUT.csv smoke        one tiny film, few curves

OUT.csv grows by a row a run and is gone on with. The films' seeds begin at FIRST.
"""

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grainscout.benchmarks.tasks.score import score_map, score_run
from grainscout.benchmarks.tasks.truth import TaskTruth, film_truth
from grainscout.experiment import Experiment, make_problem, one_thread
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records import Budget, Outcome, Problem, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film, FilmSpec, GrainSpec

FIRST, TEMPERATURE = 7_180_000, 298.0
TARGETS = ("loop_area", "turn_on", "max_current")
BUDGETS = (60, 210)
_GONG = PRESETS["Gong2026"]
_UNLIKE = {
    **{n: PRESETS[n] for n in ("boundary-smaller", "slow-boundaries", "hard-2", "composition")},
    "grains 250 nm": replace(_GONG, grains=GrainSpec(mean_nm=250.0, warp_nm=15.0)),
    "grains 800 nm": replace(_GONG, grains=GrainSpec(mean_nm=800.0)),
    "tip 30 nm": replace(_GONG, scan=replace(_GONG.scan, tip_radius_nm=30.0)),
    "tip 150 nm": replace(_GONG, scan=replace(_GONG.scan, tip_radius_nm=150.0)),
}
#: Generic models of the image: by its slopes and bends alone, and (`dkl`) by what the reader sees.
_MODELS: dict[str, tuple[str, dict[str, Any]]] = {"jets": ("dkl", {"features": "jets"})}
_BLOCKS = {"current": 6000}  # the films of "native"
_FOREIGN = {n: s for n, s in PRESETS.items() if n.startswith("foreign-")}


def cases(kind: str) -> Iterator[tuple[str, FilmSpec, float, str, int]]:
    """Film's name, specification, light, target and seed."""
    papers = {name: PRESETS[name] for name in ("Gong2026", "Liu2023")}
    if kind == "smoke":
        yield "tiny", PRESETS["tiny"], 0.1, "loop_area", FIRST
        return
    films = {"unlike": _UNLIKE, "foreign": _FOREIGN}.get(kind, papers)
    every: Iterator[tuple[int, str, str, float]]
    every = itertools.product(range(2), TARGETS, films, (0.0, 0.1))
    if kind in ("unlike", "foreign"):  # three films of each, with the targets and lights in turn
        every = (
            (turn, TARGETS[(k + turn) % 3], n, (0.0, 0.1)[(k + turn) % 2])
            for turn, (k, n) in itertools.product(range(3), enumerate(films))
        )
    for k, (_, target, name, light) in enumerate(every):
        yield name, films[name], light, target, FIRST + _BLOCKS.get(kind, 1000 * len(kind)) + k


def run(film: Film, name: str, problem: Problem, seed: int, **options: Any) -> Any:
    """A policy after a run on the reference instrument, the outcomes, and its CPU seconds."""
    scope = Guard(SimulatedMicroscope(film, "reference", seed=spawn_streams(seed).instrument))
    scope.light(problem.light)
    policy = make_policy(name, options)
    begun = time.process_time()
    done = Experiment(scope, policy, problem=problem, seed=seed).run()
    return policy, list(done.outcomes), time.process_time() - begun


def seen(scope: Guard, curves: int, channels: tuple[str, ...], **settings: Any) -> Problem:
    """The problem with these images."""
    scope.light(settings["light"])
    return make_problem(
        scope, Waveform.triangle(), Budget(curves=curves), channels=channels, **settings
    )


def own_map(model: str, problem: Problem, outcomes: list[Outcome], truth: TaskTruth) -> Any:
    """Scores of the map that a policy makes of these outcomes, and the policy."""
    name, options = _MODELS.get(model, (model, {}))
    policy: Any = make_policy(name, options)
    policy.reset(problem, rng=np.random.default_rng(0))
    policy.tell(outcomes)
    return score_map(truth, *policy.predict()), policy


def mapped(
    case: tuple[str, FilmSpec, float, str, int],
    budgets: tuple[int, ...],
    channels: tuple[str, ...] = ("height",),
) -> Iterator[Any]:
    """A row for each budget: errors by random sites with each model, and by own ones.

    The generic models see the height alone, `map` all `channels`.
    """
    name, spec, light, target, seed = case
    film = Film.generate(spec, spawn_streams(seed).film)
    scope = Guard(SimulatedMicroscope(film, "reference", seed=spawn_streams(seed).instrument))
    settings: dict[str, Any] = {"light": light, "target": target}
    problem = seen(scope, budgets[-1], ("height",), **settings)
    more = seen(scope, budgets[-1], channels, **settings)
    truth = film_truth(film, problem, TEMPERATURE)
    _, random, _ = run(film, "random", problem, seed)
    _, chosen, cpu = run(film, "map", more, seed)
    told = {"random jets": random, "random dkl": random, "random map": random, "own map": chosen}
    for n in budgets:
        row = {"film": name, "seed": seed, "light": light, "target": target, "curves": n}
        for label, outcomes in told.items():
            model = label.split()[1]
            told_of = more if model == "map" else problem
            found, policy = own_map(model, told_of, outcomes[:n], truth)
            row |= {f"{label} {k}": found[k] for k in ("nrmse", "coverage")}
        yield {**row, "weight": policy.learned().weight, "cpu": cpu}


def discovered(case: tuple[str, FilmSpec, float, str, int], curves: int) -> Iterator[Any]:
    """Discovery score of a few policies over the first curves: 0 random, 1 ideal."""
    name, spec, light, target, seed = case
    film = Film.generate(spec, spawn_streams(seed).film)
    scope = Guard(SimulatedMicroscope(film, "reference", seed=spawn_streams(seed).instrument))
    problem = seen(scope, curves, ("height",), light=light, target=target)
    truth = film_truth(film, problem, TEMPERATURE)
    for policy, options in (("scout", {}), ("scout", {"prior": "none"}), ("structure-only", {})):
        _, outcomes, cpu = run(film, policy, problem, seed, **options)
        scores = score_run(problem, truth, outcomes)
        found, chance, ideal = (
            float(np.mean(scores[k])) for k in ("found", "found_random", "found_ideal")
        )
        label = f"{policy} {options.get('prior', '')}".strip()
        row = {"film": name, "seed": seed, "light": light, "policy": label, "cpu": cpu}
        yield {**row, "score": (found - chance) / (ideal - chance)}


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean errors, gains over random sites with the generic model, coverage and seconds."""
    if "policy" in rows:
        return rows.groupby(["film", "light", "policy"])["score"].agg(["mean", "size"])
    base = rows["random dkl nrmse"]
    gains = rows.assign(
        **{
            "own gain": 1 - rows["own map nrmse"] / base,
            "own gain over jets": 1 - rows["own map nrmse"] / rows["random jets nrmse"],
            "random gain": 1 - rows["random map nrmse"] / base,
            "covered": rows["own map coverage"].between(0.90, 0.97),
        }
    )
    drop = ["seed", "light"]
    gains["better"] = gains["own gain"] > 0
    by_film = gains.groupby(["curves", "film"]).mean(numeric_only=True).drop(columns=drop)
    whole = gains.groupby("curves").mean(numeric_only=True).drop(columns=drop)
    for n, some in gains.groupby("curves"):
        drawn = np.random.default_rng(0).integers(len(some), size=(4000, len(some)))
        for gain, ends in (("own gain", "low high"), ("own gain over jets", "jets_low jets_high")):
            means = some[gain].to_numpy()[drawn].mean(axis=1)
            whole.loc[n, ends.split()] = np.percentile(means, [2.5, 97.5])
        whole.loc[n, "worst"] = some["own gain"].min()
    whole.index = pd.MultiIndex.from_product([whole.index, ["all"]])
    return pd.concat([by_film, whole])


def main(argv: list[str] | None = None) -> pd.DataFrame:
    """Run the study and print its table."""
    out, kind = (sys.argv[1:] if argv is None else argv)[:2]
    path, small = Path(out), kind == "smoke"
    known = pd.read_csv(path) if path.exists() else pd.DataFrame({"seed": []})
    rows = known.to_dict("records")
    for case in cases("foreign" if kind == "discovery-foreign" else kind):
        if case[-1] in set(known["seed"]):
            continue
        if kind.startswith("discovery"):
            rows += discovered(case, 60)
        else:
            channels = ("height", "current") if kind == "current" else ("height",)
            rows += mapped(case, (12, 16) if small else BUDGETS, channels)
        pd.DataFrame(rows).to_csv(path, index=False)
        print(case[0], case[2:], flush=True)
    found = summary(pd.DataFrame(rows))
    print(found.round(3).to_string())
    return found


if __name__ == "__main__":
    with one_thread():
        main()
