"""Map errors of robust likelihoods on films whose instrument spoils curves; see record 0204.

python benchmarks/studies/robust.py            four films a preset, about two CPU minutes
python benchmarks/studies/robust.py --smoke    one tiny film, few curves
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from grainscout.benchmarks.tasks.score import score_map
from grainscout.benchmarks.tasks.truth import film_truth
from grainscout.experiment import Experiment, make_problem, one_thread
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.policies.models import gp
from grainscout.policies.models.gp import GaussianProcess
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

TARGETS = ("loop_area", "log_max_current", "turn_on")
INSTRUMENTS = ("reference", "contact-severe")
FIRST, FILMS, TEMPERATURE = 8500, 6, 300.0  # seeds 8400 and up chose the rule


class Pursuit(GaussianProcess):
    """Relevance pursuit: noise of its own for each datum that the evidence asks for.

    Ament et al. 2024, arXiv 2410.24222. A datum must gain more than `price`.
    """

    price, rounds, batch = 3.0, 12, 8  # log prior odds of a datum; refits; new data in one

    def _learn(self, rows: Any, y: Any, given: Any) -> None:
        self._offset, self._scale = gp.standardise(gp.winsorise(y))
        prepared = self.kernel.prepare(self.table[rows].astype(float))
        z, known = (y - self._offset) / self._scale, given / self._scale**2
        extra = np.zeros(len(y))
        for _ in range(self.rounds):
            self._t = self._maximise(prepared, z, known, extra)
            k, _ = self.kernel.gram(prepared, self._t[:-2])
            k.flat[:: len(k) + 1] += self._total_noise(given) + extra
            inverse = np.linalg.inv(k)
            variance = 1.0 / np.diagonal(inverse) - extra
            square = ((inverse @ z) / np.diagonal(inverse)) ** 2
            ratio = np.maximum(square / variance, 1.0)
            gain = 0.5 * (ratio - 1.0 - np.log(ratio))
            new = np.where(extra > 0, 0.0, gain)
            wanted = (gain > self.price) & ((extra > 0) | (new >= np.sort(new)[-self.batch :][0]))
            if (wanted == (extra > 0)).all() or 2 * wanted.sum() > len(y):
                break
            extra = np.where(wanted, square - variance, 0.0)
        self._extra, self._fitted = extra, len(y)
        self._factorise(rows, given)


RULES: dict[str, tuple[type[GaussianProcess], str]] = {
    "normal": (GaussianProcess, gp.PLAIN),
    "outliers": (GaussianProcess, gp.OUTLIERS),
    "clipped": (GaussianProcess, gp.PLAIN),
    "pursuit": (Pursuit, gp.PLAIN),
    "student-t": (GaussianProcess, gp.STUDENT_T),
}


def cases(preset: str, seed: int, light: float, curves: int) -> Iterator[dict[str, Any]]:
    """A row for each instrument, target, gate and rule; "noiseless" is given true targets."""
    film = Film.generate(PRESETS[preset], spawn_streams(seed).film)
    for instrument in INSTRUMENTS:
        scope = Guard(SimulatedMicroscope(film, instrument, seed=spawn_streams(seed).instrument))
        problem = make_problem(scope, Waveform.triangle(), Budget(curves=curves), light=light)
        random = make_policy("random", {})
        run = Experiment(scope, random, problem=problem, seed=seed, second_look=0).run()
        for target in TARGETS:
            asked = replace(problem, target=target)
            truth = film_truth(film, asked, TEMPERATURE)
            case = {"film": f"{preset} {seed}", "light": light, "instrument": instrument}
            for gate in (False, True):
                policy: Any = make_policy("dkl", {})
                policy.reset(asked, rng=np.random.default_rng(0))
                policy.tell([o if gate else replace(o, quality=None) for o in run.outcomes])
                rows, y, noise = policy.run.targets()
                model = policy.model.make(policy.run)
                at = np.searchsorted(model.candidate_rows, rows)
                ok = np.isfinite(truth.target[at])
                data = dict.fromkeys(RULES, (rows, y, noise))
                data["clipped"] = (rows, gp.winsorise(y), noise)
                data["noiseless"] = (rows[ok], truth.target[at][ok], noise[ok] * 0.0)
                for name, told in data.items():
                    made, likelihood = RULES.get(name, RULES["normal"])
                    fitted = made(model.table, model.candidate_rows, model.kernel)
                    fitted.likelihood = likelihood
                    fitted.fit(*told)
                    scores = score_map(truth, *fitted.predict())
                    yield {**case, "target": target, "gate": gate, "rule": name, **scores}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean error of each rule, and its paired difference to the normal one with a 95 % interval."""
    out = []
    for (instrument, gate), part in rows.groupby(["instrument", "gate"], sort=False):
        wide = part.pivot_table(index=["film", "light"], columns="rule", values="nrmse")
        other = part.groupby("rule")[["crps", "coverage", "spearman"]].mean()
        for rule in (*RULES, "noiseless"):
            gap = (wide[rule] - wide["normal"]).groupby("film").mean().to_numpy()
            half = stats.t.ppf(0.975, max(len(gap) - 1, 1)) * stats.sem(gap) if len(gap) > 1 else 0
            row = {"instrument": instrument, "gate": gate, "rule": rule, "nrmse": wide[rule].mean()}
            out.append({**row, "less normal": gap.mean(), "±": half, **other.loc[rule]})
    return pd.DataFrame(out)


def main(argv: list[str] | None = None) -> pd.DataFrame:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="one tiny film, few curves")
    args = parser.parse_args(argv)
    presets, films, curves = (("tiny",), 1, 16) if args.smoke else (("s26", "s23"), FILMS, 60)
    with one_thread():
        rows = [
            row
            for seed in range(FIRST, FIRST + films)
            for preset in presets
            for light in (0.0, 0.1)
            for row in cases(preset, seed, light, curves)
        ]
    found = table(pd.DataFrame(rows))
    print(found.round(3).to_string(index=False))
    return found


if __name__ == "__main__":
    main()
