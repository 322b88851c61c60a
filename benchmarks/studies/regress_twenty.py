"""Test of ``grainscout regress`` on unchanged and on damaged models.

    python benchmarks/studies/regress_twenty.py                       all of it, half an hour of one core
    python benchmarks/studies/regress_twenty.py unchanged --runs 20   the command on the code as it is
    python benchmarks/studies/regress_twenty.py reseeded --runs 20    models that train or draw from other seeds
    python benchmarks/studies/regress_twenty.py damaged               each kind of model, damaged in its own code

Unchanged: the command four times in each of five processes, with another seed of Python's hashes, one or
two threads, and the models asked for in another order; it must exit with 0 each time, and no score move.
Reseeded: what is trained or drawn in a model comes from another seed than in its baseline, so that
scores do move; the test's own promise is that at most one call in twenty says "worse" then.
Damaged: a fault put into the code that the model runs, one of each kind; the command must exit with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
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

from grainscout.analysis.curves import turn_on
from grainscout.benchmarks import regression as regress
from grainscout.benchmarks.regression import models
from grainscout.microstructure import reader
from grainscout.policies import ModelPolicy, Policy, Selection, make_policy
from grainscout.policies.models.gp import GaussianProcess

#: One model of each kind; the others of a kind differ in settings.
KINDS = ("descriptors", "reader", "latent-dual", "surrogate-rbf", "policy-dkl")

Put = Callable[[Any, str, Any], None]  # as setattr does


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A fault in a model's own code. `do` puts it there by means of a setattr."""

    model: str
    fault: str
    do: Callable[[Put], None]


def _out_of_step(put: Put) -> None:
    right = GaussianProcess.fit
    put(GaussianProcess, "fit", lambda self, rows, y, noise=None: right(self, rows, y[::-1], noise))


def _shifted(put: Put) -> None:
    right = reader.network_input
    put(reader, "network_input", lambda image, grid: np.roll(right(image, grid), 2, axis=(1, 2)))


def _never_asked(put: Put) -> None:
    def choose(self: ModelPolicy, n: int, available: Any) -> Selection:
        return Selection(index=self.rng.choice(available, n, replace=False))

    put(ModelPolicy, "_choose", choose)


DAMAGES = (
    Damage(
        model="descriptors",
        fault="turn-on at 30 pA instead of 10 pA",
        do=lambda put: put(turn_on, "TURN_ON_RISE", 3 * turn_on.TURN_ON_RISE),
    ),
    Damage(model="reader", fault="image two pixels off", do=_shifted),
    Damage(
        model="latent-dual",
        fault="training ends after one pass",
        do=lambda put: put(models, "_EPOCHS", 1),
    ),
    Damage(model="surrogate-rbf", fault="sites and targets out of step", do=_out_of_step),
    Damage(model="policy-dkl", fault="the model is never asked where to go", do=_never_asked),
)


def unchanged(runs: int, models: Sequence[str] = KINDS, calls: int = 4) -> list[dict[str, Any]]:
    """A row a run, `calls` of them in each process: the films are made anew in each process only."""
    rows: list[dict[str, Any]] = []
    for k in range(-(-runs // calls)):
        # Other hashes, other threads: what could make an unchanged model come out differently.
        done = subprocess.run(
            [sys.executable, __file__, "calls", "--runs", str(min(calls, runs - k * calls)), "--models", *models],
            env={**os.environ, "PYTHONHASHSEED": str(k + 1), "OMP_NUM_THREADS": str(1 + k % 2)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows += [{"process": k, **json.loads(line)} for line in done.stdout.splitlines()]
        print(*rows[-calls:], sep="\n", flush=True)
    return rows


def several(calls: int, models: Sequence[str]) -> None:
    """The command several times in this process, models in another order. A JSON line a call."""
    from grainscout.cli import main as grainscout

    for k in range(calls):
        order = random.Random(k).sample(models, len(models))
        sys.argv = ["grainscout", "regress", "--json", *(w for m in order for w in ("--model", m))]
        said, status = io.StringIO(), 0
        try:
            with contextlib.redirect_stdout(said):
                grainscout()
        except SystemExit as end:
            status = int(end.code or 0)
        outcomes = [change["outcome"] for change in json.loads(said.getvalue())["changes"]]
        counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
        print(json.dumps({"call": k, "status": status, **counts}), flush=True)


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
        dual, policy = partial(models.dual_scores, seed=k), lambda _, k=k: reseeded_dkl(k)
        other = {"latent-dual": dual, "policy-dkl": policy}
        answers = {name: replace(regress.MODELS[name], answer=other[name]) for name in other}
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
    parser.add_argument("part", nargs="?", choices=("all", "unchanged", "reseeded", "damaged", "one", "calls"), default="all")  # fmt: skip
    parser.add_argument("model", nargs="?", help="of the part 'one'")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--models", nargs="+", choices=list(regress.MODELS), default=KINDS, help="of the part 'unchanged'")  # fmt: skip
    parser.add_argument("--out", type=Path, help="JSON lines of all rows")
    args = parser.parse_args(arguments)
    if args.part == "one":
        one(args.model)
        return
    if args.part == "calls":
        several(args.runs, args.models)
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
