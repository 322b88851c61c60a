"""Map errors of robust likelihoods on films whose instrument spoils curves; see record 0204.

python benchmarks/studies/robust.py            four films a preset, about two CPU minutes
python benchmarks/studies/robust.py --smoke    one tiny film, few curves
"""

from __future__ import annotations

import itertools
import sys
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
FIRST, FILMS, TEMPERATURE = 8500, 6, 298.0  # seeds 8400 and up chose the rule


class Pursuit(GaussianProcess):
    """Relevance pursuit (Ament et al. 2024, arXiv 2410.24222): noise where the evidence gains."""

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


RULES = {"normal": gp.PLAIN, "outliers": gp.OUTLIERS, "clipped": gp.PLAIN, "pursuit": gp.PLAIN}
RULES["student-t"] = gp.STUDENT_T


def cases(preset: str, seed: int, light: float, curves: int) -> Iterator[dict[str, Any]]:
    """A row for each instrument, target, gate and rule; "noiseless" is given true targets."""
    film = Film.generate(PRESETS[preset], spawn_streams(seed).film)
    for instrument in INSTRUMENTS:
        scope = Guard(SimulatedMicroscope(film, instrument, seed=spawn_streams(seed).instrument))
        problem = make_problem(scope, Waveform.triangle(), Budget(curves=curves), light=light)
        loop = Experiment(scope, make_policy("random"), problem=problem, seed=seed, second_look=0)
        outcomes = loop.run().outcomes
        for target in TARGETS:
            asked = replace(problem, target=target)
            truth = film_truth(film, asked, TEMPERATURE)
            case = {"film": f"{preset} {seed}", "light": light, "instrument": instrument}
            for gate in (False, True):
                policy: Any = make_policy("dkl", {})
                policy.reset(asked, rng=np.random.default_rng(0))
                policy.tell([o if gate else replace(o, quality=None) for o in outcomes])
                rows, y, noise = policy.run.targets()
                model = policy.surrogate
                at = np.searchsorted(model.candidate_rows, rows)
                ok = np.isfinite(truth.target[at])
                data = dict.fromkeys(RULES, (rows, y, noise))
                data["clipped"] = (rows, gp.winsorise(y), noise)
                data["noiseless"] = (rows[ok], truth.target[at][ok], noise[ok] * 0.0)
                for name, told in data.items():
                    made = Pursuit if name == "pursuit" else GaussianProcess
                    fitted = made(model.table, model.candidate_rows, model.kernel)
                    fitted.likelihood = RULES.get(name, gp.PLAIN)
                    fitted.fit(*told)
                    scores = score_map(truth, *fitted.predict())
                    yield {**case, "target": target, "gate": gate, "rule": name, **scores}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of each rule, and its error less the normal rule's with a 95 % interval."""
    case = ["instrument", "gate", "rule"]
    films = rows.groupby([*case, "film"], sort=False)["nrmse"].mean().unstack("film")
    gap = films - films.xs("normal", level="rule").reindex(films.index.droplevel("rule")).to_numpy()
    found = rows.groupby(case, sort=False)[["nrmse", "crps", "coverage", "spearman"]].mean()
    reach = (
        stats.t.ppf(0.975, max(films.shape[1] - 1, 1))
        * gap.std(axis=1, ddof=1)
        / np.sqrt(films.shape[1])
    )
    return found.assign(**{"less normal": gap.mean(axis=1), "±": reach})


def main(argv: list[str] | None = None) -> pd.DataFrame:
    """Run the study and print its table."""
    smoke = "--smoke" in (sys.argv if argv is None else argv)
    presets, films, curves = (("tiny",), 1, 16) if smoke else (("Gong2026", "Liu2023"), FILMS, 60)
    every = itertools.product(presets, range(FIRST, FIRST + films), (0.0, 0.1))
    with one_thread():
        found = table(pd.DataFrame(row for film in every for row in cases(*film, curves)))
    print(found.round(3).to_string())
    return found


if __name__ == "__main__":
    main()
