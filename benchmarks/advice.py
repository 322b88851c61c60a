"""Advice on policy, budget and images, raced on films in the likeness of a user's image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from grainscout.analysis.formats import Recording, read
from grainscout.benchmarks.campaign.campaign import BASELINE, Campaign
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.reports.results import experiment_file
from grainscout.benchmarks.tasks.microscopes import Simulated, Topography, film_on_image
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.benchmarks.tasks.waveforms import Bipolar, Triangle
from grainscout.experiment import make_problem
from grainscout.microstructure.reader import read_structure
from grainscout.policies import make_policy
from grainscout.records import Budget, ConfigError, DataError, FloatArray

#: Policies that are raced if none is named.
CANDIDATES = (
    PolicySpec(name=BASELINE),
    PolicySpec(name="dkl"),
    PolicySpec(name="map"),
    PolicySpec(name="scout"),
)
#: Images that are compared.
IMAGES = {"height": ("height",), "height and current": ("height", "current")}
#: Materials that a recording's currents are compared with.
FILMS = ("s26", "s23")
_FAMILIAR = 0.1  # share of films held out from training that are stranger; below it, look
_ENOUGH = 1.05  # the smallest budget whose error is within so much of that of the whole


def advice_campaign(
    file: Path,
    task: Task,
    *,
    films: int = 6,
    policies: Sequence[PolicySpec] = CANDIDATES,
    film: str | None = None,
    **image: Any,
) -> Campaign:
    """Campaign on new films like the image of a file. ConfigError or DataError for what does not fit."""
    for policy in policies:
        make_policy(policy.name, policy.options)  # a wrong name is refused before the first film
    data = read(file, **{k: v for k, v in image.items() if k == "pixel_nm"})
    if isinstance(data, Recording):
        task = replace(task, waveform=_waveform_like(data))
        film = film or _film_like(data, task)
    spec = Topography(file=file.resolve(), film=film or FILMS[0], new_films=True, **image)
    try:
        spec.open(0)  # an image without grains is refused before the first cell
    except DataError as error:
        raise DataError(
            f"{file}: films can be drawn in the likeness of an image only. {error}"
        ) from error
    named = [p for p in policies if p.title != BASELINE]
    return Campaign(
        name="advice",
        description=f"What to run on {file.name}",
        films=films,
        tasks=tuple(
            replace(task, id=f"advice/{name.replace(' ', '-')}", microscope=spec, channels=channels)
            for name, channels in IMAGES.items()
        ),
        policies=(PolicySpec(name=BASELINE), *named),
    )


def seen(campaign: Campaign) -> str:
    """What is seen in the image: how many grains, and whether the reader knows its like."""
    spec = cast(Topography, campaign.tasks[0].microscope)
    film = film_on_image(replace(spec, new_films=None), 0)
    known = read_structure(film.scan()).familiarity
    found = f"Grains seen: {len(film.structure.grains)}, familiarity {known:.2f}"
    if known >= _FAMILIAR:
        return f"{found}."
    return (
        f"{found}: the image is unlike those that the reader learnt from, so look at the grains "
        "(grainscout simulate --topography) before you trust this."
    )


def _waveform_like(data: Recording) -> Triangle | Bipolar:
    """The sweep of our own that is most like the recorded one."""
    volts, high = data.waveform.voltage, float(np.abs(data.waveform.voltage).max())
    both = min(volts.max(), -volts.min()) > 0.5 * high
    peak = high if both or volts.max() >= -volts.min() else -high
    kind = Bipolar if both else Triangle
    samples = 4 * (min(max(len(volts), 5), 501) // 4) + 1  # so that the peaks are sampled
    return kind(peak_V=peak, samples=samples, duration_s=data.waveform.duration)


def _film_like(data: Recording, task: Task) -> str:
    """The material whose largest currents are spread most like those recorded."""
    sweep = task.waveform

    def spread(current: FloatArray) -> FloatArray:
        peaks = np.nanmax(np.abs(current), axis=1)
        return np.asarray(np.quantile(np.log10(peaks[peaks > 0]), [0.1, 0.5, 0.9]))

    def simulated(name: str) -> FloatArray:
        scope = Simulated(film=name, instrument="quiet").open(0).microscope
        waveform = sweep.build() or data.waveform
        problem = make_problem(scope, waveform, Budget(curves=1), light=task.light_suns)
        every = problem.candidates[:: max(len(problem.candidates) // 60, 1)]
        return spread(np.array([scope.measure(site, waveform).current for site in every]))

    if data.unit != "A":
        raise DataError(
            f"curves must be currents [A] to be compared with films; got {data.unit}. Name a film (--film)"
        )
    own = spread(data.current)
    return min(FILMS, key=lambda name: float(np.abs(simulated(name) - own).sum()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Advice:
    """What to run, and what to expect of it."""

    policy: PolicySpec  #: Policy with the smallest error of the map
    task: Task  #: Task with the images and the budget to use
    images: str  #: Name of the images, of `IMAGES`
    #: A row for each policy, images and number of curves: error of its own map over the spread of
    #: the target, its mean over the films, and the 95 % bootstrap interval of the mean (low, high).
    table: pd.DataFrame
    expected: Mapping[str, float]  #: The row that was chosen

    def experiment(self, folder: Path, seed: int = 0) -> str:
        """Experiment file in that folder: on the grains of the image, until it is on an instrument."""
        own = replace(cast(Topography, self.task.microscope), new_films=None)
        text = experiment_file(replace(self.task, microscope=own), self.policy, seed, folder)
        bias = " and scan_bias_V" if "current" in self.task.channels else ""
        return (
            "# A simulated film on the grains of your image. On your instrument, replace\n"
            f"# task.microscope (see grainscout list microscopes){bias}.\n{text}"
        )


def advise(campaign: Campaign, tables: Tables, *, error: float | None = None) -> Advice:
    """Choose policy, images and budget by the errors of the maps.

    The budget is the smallest whose mean error is at most `error`, by default that within 5 % of
    the error at the whole budget. ConfigError if no budget reaches `error`.
    """
    if tables.maps.empty:
        raise ConfigError("advice must have finished cells to go by; there are none")
    names = dict(zip([t.id for t in campaign.tasks], IMAGES, strict=True))
    rng = np.random.default_rng(0)
    rows = []
    maps = tables.maps.assign(images=tables.maps["task"].map(names))
    for (policy, images, n), part in maps.groupby(["policy", "images", "n"], sort=True):
        values = part["own_nrmse"].to_numpy()
        means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        known = {"error": values.mean(), "low": low, "high": high, "films": len(values)}
        rows.append({"policy": policy, "images": images, "n": n, **known})
    table = pd.DataFrame(rows)
    complete = table[table["films"] == table["films"].max()]
    whole = complete[complete["n"] == complete["n"].max()]
    best = whole.loc[whole["error"].idxmin()]
    course = complete[
        (complete["policy"] == best["policy"]) & (complete["images"] == best["images"])
    ]
    enough = course[course["error"] <= (_ENOUGH * best["error"] if error is None else error)]
    if enough.empty:
        raise ConfigError(
            f"error must be at least {best['error']:.2f}, the smallest that {best['n']} curves reach; "
            f"got {error:g}. Raise the budget or the error"
        )
    chosen = enough.iloc[0]
    task = next(t for t in campaign.tasks if names[t.id] == best["images"])
    return Advice(
        policy=next(p for p in campaign.policies if p.title == best["policy"]),
        task=replace(task, id="advice", curves=int(chosen["n"])),
        images=str(best["images"]),
        table=table,
        expected={k: float(chosen[k]) for k in ("n", "error", "low", "high")},
    )
