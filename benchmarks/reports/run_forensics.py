"""Chosen sites and other descriptors in a run's report."""

from collections.abc import Sequence

import numpy as np

from grainscout.analysis import figures
from grainscout.analysis.forensics import (
    boundary_choice,
    choice_drivers,
    counterfactual,
    density_test,
    patch_components,
)
from grainscout.benchmarks.reports.page import Picture, Section, Table, picture
from grainscout.benchmarks.reports.run_quality import curves_of
from grainscout.benchmarks.tasks.score import BOUNDARY_M
from grainscout.experiment import full_window_sites
from grainscout.records import FloatArray, IntArray, Outcome, Problem
from grainscout.simulator import Structure

_WINDOW = 16


def choice_section(
    problem: Problem, outcomes: Sequence[Outcome], structure: Structure | None
) -> Section | None:
    """Properties that the chosen sites share. None if no patch fits."""
    window = min(_WINDOW, *problem.scan.shape)
    flat = problem.scan.flat
    fits = np.isin(flat(problem.candidates), flat(full_window_sites(problem.scan.shape, window)))
    pool = problem.candidates[fits]
    sites = np.array([tuple(o.site) for o in outcomes], np.int64)
    inside = np.isin(flat(sites), flat(pool))
    if inside.sum() < 3 or len(pool) < 10:
        return None
    height = problem.scan.channel(next(iter(problem.scan.channels)))
    visited = np.searchsorted(flat(pool), flat(sites[inside]))
    drivers = choice_drivers(_properties(problem, pool, height, structure), visited)
    text, pictures = [], [_density(patch_components(height, pool, window=window), visited)]
    visits = None if structure is None else _boundary_visits(problem, sites, structure)
    if visits is not None:
        text.append(visits[0])
        pictures.append(visits[1])
    rows = [
        [str(r.property), f"{r.effect:+.2f}", f"{r.p_adjusted:.2g}"]
        for r in drivers.itertuples(index=False)
    ]
    title = "Chosen sites against all candidates: difference of means in standard deviations"
    table = Table(title=title, heads=["property", "effect", "p, Holm"], rows=rows)
    about = "Properties of the chosen sites"
    return Section(id="choice", title=about, text=text, tables=[table], pictures=pictures)


def _density(components: FloatArray, visited: IntArray) -> Picture:
    """Visited patches against the patches of all candidates."""
    features = components / np.maximum(components.std(axis=0), np.finfo(float).tiny)
    test = density_test(features, visited)
    differ = "differ" if test.p_value < 0.05 else "do not differ"
    figure = figures.latent_density(
        features,
        visited,
        axes=("patch component 1 (sd)", "patch component 2 (sd)"),
        note=f"energy distance {test.distance:.2g}, p = {test.p_value:.2g}",
    )
    caption = (
        "Patches of all candidates and of the visited sites, in their first two principal "
        f"components. They {differ} from a random choice of as many sites (energy distance, p = "
        f"{test.p_value:.2g})."
    )
    return picture(figure, caption, "Density of visited patches against all patches")


def _boundary_visits(
    problem: Problem, sites: IntArray, structure: Structure
) -> tuple[str, Picture] | None:
    """Visits to each boundary, if there are any."""
    of, distance = structure.boundary_id, structure.boundary_distance
    table = boundary_choice(sites, of, distance, candidates=problem.candidates)
    if not len(table) or not table["visits"].sum():
        return None
    preferred = int((table["p_adjusted"] < 0.05).sum())
    text = (
        f"{int(table['visits'].sum())} visits to boundaries. The run chose {preferred} of {len(table)} "
        "boundaries more or less often than their length explains (Holm)."
    )
    figure = figures.boundary_visits(table, of, distance, pixel_size=problem.scan.pixel_size)
    caption = "Visits to each boundary over those expected by its length. Stars: adjusted p < 0.05."
    return text, picture(figure, caption, "Visits to each boundary against its length")


def other_questions(problem: Problem, measured: Sequence[Outcome], note: str = "") -> Section:
    """Every other descriptor of the same curves."""
    current, saturated = curves_of(measured)
    _, summary = counterfactual(
        problem.waveform.voltage, current, target=problem.target, saturated=saturated
    )
    rows = []
    for record in summary.to_dict("records"):
        factor, unit = figures.engineering(np.array([record["best"]]), str(record["unit"]))
        best = record["best"] * factor
        rows.append(
            [
                str(record["descriptor"]),
                f"{record['valid']:.0%}",
                f"{record['censored']:.0%}",
                "-" if np.isnan(best) else f"{best:.3g} {unit}",
                "-" if np.isnan(best) else f"{record['best_step']:.0f}",
                _number(record[next(k for k in record if "target" in str(k))]),
            ]
        )
    table = Table(
        title=f"Descriptors over the run. Last column: rank correlation with {problem.target}",
        heads=["descriptor", "valid", "bounds", "largest", "at", "correlation"],
        rows=rows,
    )
    return Section(
        id="counterfactual",
        title="Other descriptors of the same curves",
        text=[note.strip()] if note else [],
        tables=[table],
    )


def _properties(
    problem: Problem, pool: IntArray, height: FloatArray, structure: Structure | None
) -> dict[str, FloatArray]:
    """Properties of the candidates, also of the truth."""
    along_row, along_column = np.gradient(height, *problem.scan.pixel_size)
    slope = np.hypot(along_row, along_column)
    bend = np.gradient(along_row, problem.scan.pixel_size[0], axis=0) + np.gradient(
        along_column, problem.scan.pixel_size[1], axis=1
    )
    at = tuple(pool.T)
    values = {"height": height[at], "slope": slope[at], "curvature (valleys +)": bend[at]}
    if structure is not None and np.isfinite(structure.boundary_distance).all():
        near = structure.boundary_distance[at] < BOUNDARY_M
        values["near a boundary (truth)"] = near.astype(float)
        values["boundary asymmetry (truth)"] = np.abs(structure.asymmetry[at])
        if np.isfinite(structure.junction_distance).all():
            values["distance to a junction (truth)"] = structure.junction_distance[at]
    return values


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.2f}"
