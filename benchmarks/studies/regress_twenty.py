"""Does ``grainscout regress`` pass an unchanged model every time, and fail a damaged one of each kind?

    python benchmarks/studies/regress_twenty.py                       all of it, half an hour of one core
    python benchmarks/studies/regress_twenty.py unchanged --runs 20   fresh processes of the command
    python benchmarks/studies/regress_twenty.py reseeded --runs 20    models that train or draw from other seeds
    python benchmarks/studies/regress_twenty.py damaged               each kind of model, damaged in its own code

Unchanged: the command itself in a process of its own, with another seed of Python's hashes, one or two
threads, and the models asked for in another order; it must exit with 0 each time, and no score may move.
Reseeded: what is trained or drawn in a model comes from another seed than in its baseline, so that
scores do move; the test's own promise is that at most one call in twenty says "worse" then.
Damaged: a fault put into the code that the model runs, one of each kind; the command must exit with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis import _definitions
from grainscout.benchmarks import _regress_models, regress
from grainscout.policies import Policy, _detector, make_policy
from grainscout.policies._base import Choice
from grainscout.policies._gp import GaussianProcess
from grainscout.policies._model_policy import ModelPolicy

#: One model of each kind; the others of a kind differ in settings.
KINDS = ("descriptors", "detector", "latent-dual", "surrogate-rbf", "policy-dkl")

Put = Callable[[Any, str, Any], None]  # as setattr does


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A fault in a model's own code; `do` puts it there by means of a setattr."""

    model: str
    fault: str
    do: Callable[[Put], None]


def _threshold(put: Put) -> None:
    put(_definitions, "TURN_ON_RISE", 3 * _definitions.TURN_ON_RISE)


def _out_of_step(put: Put) -> None:
    right = GaussianProcess.fit
    put(GaussianProcess, "fit", lambda self, rows, y, noise=None: right(self, rows, y[::-1], noise))


def _shifted(put: Put) -> None:
    right = _detector.relief
    put(_detector, "relief", lambda image: np.roll(right(image), 2, axis=(0, 1)))


def _hardly_trained(put: Put) -> None:
    put(_regress_models, "_EPOCHS", 1)


def _never_asked(put: Put) -> None:
    def select(self: ModelPolicy, n: int, open_: Any) -> Choice:
        return Choice(index=self.rng.choice(open_, n, replace=False))

    put(ModelPolicy, "_select", select)


DAMAGES = (
    Damage(model="descriptors", fault="turn-on at 30 pA instead of 10 pA", do=_threshold),
    Damage(model="detector", fault="image two pixels off", do=_shifted),
    Damage(model="latent-dual", fault="training ends after one pass", do=_hardly_trained),
    Damage(model="surrogate-rbf", fault="sites and targets out of step", do=_out_of_step),
    Damage(model="policy-dkl", fault="the model is never asked where to go", do=_never_asked),
)


def command(*words: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON of ``grainscout regress`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "grainscout.cli", "regress", "--json", *words],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"grainscout regress ended with {done.returncode}: {done.stderr}")
    return done.returncode, json.loads(done.stdout)


def unchanged(runs: int, models: Sequence[str] = KINDS) -> list[dict[str, Any]]:
    """A row a run."""
    rows = []
    for k in range(runs):
        order = random.Random(k).sample(models, len(models))
        words = [word for name in order for word in ("--model", name)]
        threads = str(1 + k % 2)
        status, said = command(*words, PYTHONHASHSEED=str(k + 1), OMP_NUM_THREADS=threads)
        outcomes = [change["outcome"] for change in said["changes"]]
        row = {"run": k, "status": status, **{o: outcomes.count(o) for o in sorted(set(outcomes))}}
        rows.append(row)
        print(row, flush=True)
    return rows


def reseeded_dkl(seed: int) -> Policy:
    """A deep kernel whose own draws, its first sites, come from another seed."""
    policy = make_policy("dkl", {})
    reset = policy.reset

    def other(problem: Any, *, rng: np.random.Generator) -> None:
        reset(problem, rng=np.random.default_rng([seed, int(rng.integers(2**32))]))

    policy.reset = other  # type: ignore[method-assign]
    return policy


def reseeded(runs: int) -> list[dict[str, Any]]:
    """A row a run: outcomes of a map and a policy of another seed than their baselines'."""
    rows = []
    for k in range(1, runs + 1):
        models = {
            "latent-dual": partial(_regress_models.dual_scores, seed=k),
            "policy-dkl": lambda _, k=k: reseeded_dkl(k),
        }
        answers = {
            name: replace(regress.MODELS[name], answer=answer) for name, answer in models.items()
        }
        changes = regress.check(answers, lambda name: regress.BASELINES / f"{name}.json")
        row = {"seed": k, **{c.score: c.outcome for c in changes}}
        rows.append(row)
        print(row, flush=True)
    return rows


def damaged() -> list[dict[str, Any]]:
    """A row a kind of model."""
    rows = []
    for damage in DAMAGES:
        done = subprocess.run(
            [sys.executable, __file__, "one", damage.model],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        rows.append({"model": damage.model, "fault": damage.fault, "status": done.returncode})
        print(rows[-1], done.stdout, done.stderr, sep="\n", flush=True)
    return rows


def one(model: str) -> None:
    """``grainscout regress`` of one model whose code is damaged, in this process."""
    from grainscout.cli import main as grainscout

    next(damage for damage in DAMAGES if damage.model == model).do(setattr)
    sys.argv = ["grainscout", "regress", "--model", model]
    grainscout()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part, or all, and say in a line what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("all", "unchanged", "reseeded", "damaged", "one"), default="all")  # fmt: skip
    parser.add_argument("model", nargs="?", help="of the part 'one'")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--models", nargs="+", choices=list(regress.MODELS), default=KINDS, help="of the part 'unchanged'")  # fmt: skip
    parser.add_argument("--out", type=Path, help="JSON lines of all rows")
    args = parser.parse_args(arguments)
    if args.part == "one":
        one(args.model)
        return
    rows: list[dict[str, Any]] = []
    if args.part in ("all", "damaged"):
        rows += (found := damaged())
        print(f"damaged: {sum(r['status'] == 1 for r in found)} of {len(found)} fail")
    if args.part in ("all", "unchanged"):
        rows += (found := unchanged(args.runs, args.models))
        print(f"unchanged: {sum(r['status'] == 0 for r in found)} of {len(found)} pass")
    if args.part in ("all", "reseeded"):
        rows += (found := reseeded(args.runs))
        print(f"reseeded: {sum('worse' not in r.values() for r in found)} of {len(found)} pass")
    if args.out:
        args.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
