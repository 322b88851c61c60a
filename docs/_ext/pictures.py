"""Pictures of the manual, made at every build.

``python docs/_ext/pictures.py FOLDER [NAME ...]`` makes them, or only those named.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from grainscout.analysis import diversity, figures, forensics, statistics
from grainscout.analysis.curves import forc
from grainscout.benchmarks import (
    Campaign,
    CampaignStore,
    MicroscopeSpec,
    PolicySpec,
    Task,
    WaveformSpec,
    load,
    run_campaign,
    write_results,
)
from grainscout.experiment import Experiment, Result, make_problem
from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.policies import Policy, SupportsPredict, make_policy
from grainscout.records import Budget, Problem, Site, Waveform, spawn_streams
from grainscout.records.supports import supports
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.pictures import ARCHETYPE_NAMES, film_overview, typical_sites

SEED, LIGHT, CURVES = 3, 0.1, 80
SWEEP = Waveform.triangle(samples=101)


@cache
def the_film() -> Film:
    """Film of ``grainscout simulate Gong2026 --seed 3``."""
    return Film.generate(PRESETS["Gong2026"], spawn_streams(SEED).film)


@cache
def run(policy: str) -> tuple[Problem, Policy, Result]:
    """One run on that film by a policy."""
    seed = spawn_streams(SEED)
    microscope = Guard(
        SimulatedMicroscope(the_film(), "reference", seed=seed.instrument), Limits(voltage_V=2.0)
    )
    problem = make_problem(microscope, SWEEP, Budget(curves=CURVES), light=LIGHT)
    chosen = make_policy(policy)
    return problem, chosen, Experiment(microscope, chosen, problem=problem, seed=SEED).run()


def sites_of(policy: str) -> NDArray[np.int64]:
    """(n, 2) sites of that run, in order."""
    return np.array([tuple(o.site) for o in run(policy)[2].outcomes])


def curves_of(policy: str) -> NDArray[np.float64]:
    """(n, samples) measured currents of that run [A]."""
    return np.array([o.curve.current for o in run(policy)[2].outcomes if o.curve is not None])


@cache
def campaign() -> tuple[Campaign, Path]:
    """A small campaign and the folder of its results."""
    task = Task(
        id="film/tiny",
        target="loop_area",
        microscope=MicroscopeSpec(film="tiny"),
        waveform=WaveformSpec(samples=101),
        light_suns=LIGHT,
        curves=30,
    )
    names = ("random", "grid", "dkl", "scout")
    plan = Campaign(
        name="small",
        seed=5,
        films=6,
        tasks=(task,),
        policies=tuple(PolicySpec(name=n) for n in names),
    )
    folder = Path(tempfile.mkdtemp())
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        run_campaign(plan, store)
        write_results(plan, store, folder)
    return plan, folder


# ---- concepts ---------------------------------------------------------------------------------
def film() -> Figure:
    """Overview of a film."""
    return film_overview(the_film())


def structure() -> Figure:
    """True microstructure."""
    truth = the_film().structure
    return figures.explain_maps(
        {
            "distance to boundary": truth.boundary_distance,
            "distance to junction": truth.junction_distance,
            "asymmetry of the boundary": truth.asymmetry,
        },
        pixel_size=the_film().pixel_size,
        units={"distance to boundary": "m", "distance to junction": "m"},
    )


def archetypes() -> Figure:
    """Purest curve of each archetype."""
    sweep = Waveform.triangle()
    with figures.style():
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        for ax, light, title in zip(
            figure.subplots(1, 2, sharey=True), (0.0, LIGHT), ("dark", "0.1 sun"), strict=True
        ):
            for kind, at in typical_sites(the_film()):
                current, _ = the_film().curves(at, sweep, light=light)
                ax.plot(
                    sweep.voltage,
                    current[0] * 1e9,
                    color=figures.ARCHETYPE_COLOURS[ARCHETYPE_NAMES[kind]],
                    label=ARCHETYPE_NAMES[kind],
                )
            ax.set(title=title, xlabel="bias (V)")
            ax.legend()
        figure.axes[0].set_ylabel("current (nA)")
    return figure


def cards() -> Figure:
    """Descriptors of six measured curves."""
    problem, _, result = run("random")
    half = 8
    patches = np.array(
        [
            problem.scan.height[s.row - half : s.row + half, s.column - half : s.column + half]
            for s in (o.site for o in result.outcomes[:6])
        ]
    )
    return figures.curve_cards(SWEEP.voltage, curves_of("random")[:6], patches=patches)


def faults() -> Figure:
    """One site measured by instruments with one fault each."""
    names = ("ideal", "reference", "noise-severe", "contact-severe", "damage-severe")
    rows = []
    for name in names:
        scope = SimulatedMicroscope(the_film(), name, seed=spawn_streams(SEED).instrument)
        scope.light(LIGHT)
        scope.scan()
        site = Site(*map(int, typical_sites(the_film())[1][1][0]))
        rows.append([scope.measure(site, SWEEP).current for _ in range(4)][-1])
    return figures.iv_curves(
        SWEEP.voltage, np.array(rows), labels=names, title="fourth visit to one site"
    )


def quality() -> Figure:
    """Curves that were judged unusable, with their reasons."""
    scope = SimulatedMicroscope(
        the_film(), "quiet+contact-severe", seed=spawn_streams(SEED).instrument
    )
    problem = make_problem(scope, SWEEP, Budget(curves=CURVES), light=LIGHT)
    policy = make_policy("sobol")
    result = Experiment(scope, policy, problem=problem, seed=SEED).run()
    curves = {k: o for k, o in enumerate(result.outcomes, 1) if o.curve is not None}
    bad = {k: o for k, o in curves.items() if not o.usable}
    return figures.unusable_curves(
        SWEEP.voltage,
        np.array([o.curve.current for o in bad.values() if o.curve is not None]),
        [f"{k}: " + ",\n".join(o.quality.reasons) for k, o in bad.items() if o.quality],
        reference=np.median(
            [o.curve.current for o in curves.values() if o.usable and o.curve is not None], axis=0
        ),
        most=8,
    )


def sites() -> Figure:
    """Sites of scout."""
    return figures.sites_over_topography(
        run("scout")[0].scan,
        sites_of("scout"),
        boundary=the_film().structure.boundary,
        title="scout, 80 curves; true boundaries in blue",
    )


def thoughts() -> Figure:
    """Maps of dkl after its run."""
    policy = run("dkl")[1]
    return figures.explain_maps(
        policy.explain(),  # type: ignore[attr-defined]
        pixel_size=the_film().pixel_size,
        sites=sites_of("dkl"),
        units={"mean": "A V", "uncertainty": "A V"},
    )


def prediction() -> Figure:
    """Last map of dkl beside the truth."""
    problem, policy, _ = run("dkl")
    if not supports(policy, SupportsPredict):
        raise TypeError("dkl must predict")
    where = tuple(problem.candidates.T)
    mean, std, truth = (np.full(problem.scan.shape, np.nan) for _ in range(3))
    mean[where], std[where] = policy.predict()
    truth[where] = _true_loop_area()
    return figures.predicted_vs_true(
        truth,
        mean,
        std,
        pixel_size=the_film().pixel_size,
        name="loop area",
        unit="A V",
        sites=sites_of("dkl"),
    )


@cache
def _true_loop_area() -> NDArray[np.float64]:
    from grainscout.analysis.curves.descriptors import describe

    current, _ = the_film().curves(run("dkl")[0].candidates, SWEEP, light=LIGHT)
    return describe("loop_area", SWEEP.voltage, current).value


# ---- campaign ---------------------------------------------------------------------------------
def learning() -> Figure:
    """Examples found against curves measured."""
    return figures.learning_curves(
        load(campaign()[1]).frame,
        "found",
        label="wanted examples in hand",
        references={"ideal": "found_ideal", "expected of random": "found_random"},
    )


def ranking() -> Figure:
    """Scores with intervals."""
    table = load(campaign()[1]).frame
    area = table.groupby(["policy", "film"])[["found", "found_random", "found_ideal"]].mean()
    score = (area["found"] - area["found_random"]) / (area["found_ideal"] - area["found_random"])
    rows = [
        (name, statistics.interval(part.to_numpy(), film=np.arange(len(part)), seed=0))
        for name, part in score.groupby("policy")
    ]
    return figures.policy_ranking(
        rows, marks={"random": 0.0, "ideal": 1.0}, title="discovery, 6 films"
    )


def profiles() -> Figure:
    """Share of films that reach a score."""
    table = load(campaign()[1]).frame
    last = table[table["step"] == table["step"].max()]
    return figures.performance_profiles(
        {name: part["found"].to_numpy() for name, part in last.groupby("policy")},
        label="wanted examples in hand at the end",
    )


def cost() -> Figure:
    """Time on the instrument against examples found."""
    table = load(campaign()[1]).frame
    last = table[table["step"] == table["step"].max()]
    groups = list(last.groupby("policy"))
    return figures.cost_benefit(
        {n: part["finished_s"].to_numpy() / 60 for n, part in groups},
        {n: part["found"].to_numpy() for n, part in groups},
        benefit_label="wanted examples in hand",
    )


# ---- after a run ------------------------------------------------------------------------------
def calibration() -> Figure:
    """Calibration of the stated uncertainty."""
    _, policy, _ = run("dkl")
    mean, std = policy.predict()  # type: ignore[attr-defined]
    truth = _true_loop_area()
    known = np.isfinite(truth)
    return figures.calibration({"dkl, loop area": (truth[known], mean[known], std[known])})


def latent() -> Figure:
    """Surroundings of scout's sites among those of all candidates."""
    problem, _, _ = run("scout")
    features = forensics.patch_components(problem.scan.height, problem.candidates)
    index = {tuple(site): k for k, site in enumerate(problem.candidates.tolist())}
    visited = [index[tuple(site)] for site in sites_of("scout").tolist()]
    test = forensics.density_test(features, visited)
    return figures.latent_density(
        features,
        visited,
        axes=("patch component 1", "patch component 2"),
        note=f"energy distance {test.distance:.3g}, by chance {test.expected:.3g}, p = {test.p_value:.3f}",
    )


def diverse() -> Figure:
    """Diversity of the curves of two runs."""
    curves = {n: curves_of(n) for n in ("scout", "random")}
    return figures.diversity_of_run(
        {
            f"Vendi score of {name}'s curves": diversity.vendi_trace(diversity.similarity(c))
            for name, c in curves.items()
        }
    )


def boundaries() -> Figure:
    """Visits of scout to each boundary."""
    problem, truth = run("scout")[0], the_film().structure
    table = forensics.boundary_choice(
        sites_of("scout"),
        truth.boundary_id,
        truth.boundary_distance,
        candidates=problem.candidates,
    )
    return figures.boundary_visits(
        table, truth.boundary_id, truth.boundary_distance, pixel_size=the_film().pixel_size
    )


def reversal() -> Figure:
    """First-order reversal curves of the purest heart."""
    sweep = Waveform.forc()
    site = typical_sites(the_film())[1][1]
    current, _ = the_film().curves(site, sweep, light=LIGHT)
    return figures.forc_map(forc.forc_density(sweep.voltage, current))


def own_image() -> Figure:
    """Grains found in an image, beside the true ones."""
    image = the_film().scan().height
    found = Film.from_topography(image, the_film().pixel_size, spec=PRESETS["Gong2026"], seed=0)
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    for ax, film, title, colour in zip(
        figure.subplots(1, 2),
        (found, the_film()),
        ("boundaries found in the image", "boundaries that are there"),
        ("#E69F00", "#56B4E9"),
        strict=True,
    ):
        ax.imshow(image, cmap="gray")
        ax.contourf(film.structure.boundary, levels=[0.5, 1.5], colors=[colour], alpha=0.8)
        grains = np.unique(film.structure.labels).size
        ax.set(title=f"{title}: {grains} grains", xticks=[], yticks=[])
    return figure


def examples() -> Figure:
    """Curves of scout by archetype."""
    from grainscout.analysis.curves.archetypes import UNKNOWN, classify

    kind = classify(SWEEP.voltage, curves_of("scout"))
    known = kind != UNKNOWN
    return figures.archetype_examples(
        SWEEP.voltage, curves_of("scout")[known], kind[known], steps=np.flatnonzero(known) + 1
    )


MAKERS: tuple[Callable[[], Figure], ...] = (
    film, structure, archetypes, cards, faults, quality, sites, thoughts, prediction, learning, ranking,
    profiles, cost, calibration, latent, diverse, boundaries, reversal, own_image, examples,
)  # fmt: skip


def make(folder: Path, names: tuple[str, ...] = ()) -> None:
    """Write a PNG for each maker into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for maker in MAKERS:
        if not names or maker.__name__ in names:
            maker().savefig(folder / f"{maker.__name__}.png", dpi=110)


if __name__ == "__main__":
    make(Path(sys.argv[1]), tuple(sys.argv[2:]))
