"""Where curves are taken on a drifting sample, and what their map is worth.

python benchmarks/studies/drift.py            six films, about two CPU minutes
python benchmarks/studies/drift.py --smoke    one tiny film, few curves

Each film is measured three times at the same random sites, with the same noise: without drift, with drift
that is not corrected, and with it corrected. A kriging model makes the map of each. The error of a site is the distance between the place
under the tip and the one that the image showed there; "of the film" counts from the film's own grid.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from grainscout.benchmarks.tasks.score import score_map
from grainscout.benchmarks.tasks.truth import film_truth
from grainscout.experiment import DriftSettings, Experiment, make_problem
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.policies import make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

TARGETS = ("log_max_current", "loop_area")
FIRST = 9900  # seeds 9600 to 9807 chose the defaults
CASES: dict[str, tuple[str, DriftSettings | None]] = {
    "no drift": ("quiet", None),
    "uncorrected": ("quiet+drift-severe", None),
    "corrected": ("quiet+drift-severe", DriftSettings()),
}


def errors(scope: SimulatedMicroscope) -> tuple[float, float]:
    """Median distance [pixels] of the curves' places from those of the image, and of the film."""
    instrument, size = scope.instrument, scope.instrument.film.pixel_size
    instrument.displaced = np.zeros(2)
    line_s = scope.spec.motion.line_s
    shown = np.array([instrument.offset(line_s * (v.site[0] + 0.5)) for v in instrument.path])
    met = np.array([v.offset for v in instrument.path])
    of_image, of_film = (np.hypot(*((met - by) / size).T) for by in (shown, 0.0))
    return float(np.median(of_image)), float(np.median(of_film))


def cases(preset: str, seed: int, curves: int) -> Iterator[dict[str, Any]]:
    """A row for each case."""
    film = Film.generate(PRESETS[preset], spawn_streams(seed).film)
    for case, (instrument, drift) in CASES.items():
        scope = SimulatedMicroscope(film, instrument, seed=spawn_streams(seed).instrument)
        guard = Guard(scope)
        problem = make_problem(guard, Waveform.triangle(), Budget(curves=curves), target=TARGETS[0])
        chosen = make_policy("random")
        run = Experiment(guard, chosen, problem=problem, seed=seed, drift=drift)
        outcomes = run.run().outcomes
        model: Any = make_policy("kriging")
        model.reset(problem, rng=np.random.default_rng(0))
        model.tell(outcomes)
        of_image, of_film = errors(scope)
        row = {"film": f"{preset} {seed}", "case": case, "seconds": scope.clock.now()}
        row |= {"of image [px]": of_image, "of film [px]": of_film}
        truth = film_truth(film, problem, scope.spec.temperature_K)
        mean, sd = model.predict()
        yield row | {"error": score_map(truth, mean, sd)["nrmse"], "curves": len(outcomes)}


def main() -> None:
    """Print each case's medians, and the paired differences of the map's error."""
    smoke = "--smoke" in sys.argv
    films = [("tiny", FIRST)] if smoke else [("reference", FIRST + k) for k in range(6)]
    rows = [r for f in films for r in cases(*f, 12 if smoke else 210)]
    table = pd.DataFrame(rows)
    print(table.groupby("case", sort=False).median(numeric_only=True).round(3).to_string())
    wide = table.pivot(index="film", columns="case", values="error")
    gain = np.log(wide["uncorrected"] / wide["corrected"])
    error = gain.std() / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
    print(f"log error ratio uncorrected : corrected {gain.mean():.3f} +- {error:.3f} (se)")


if __name__ == "__main__":
    main()
