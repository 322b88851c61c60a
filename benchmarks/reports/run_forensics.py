"""Forensics of one run, for its report: what was chosen, out of what, and what else the curves say."""

from __future__ import annotations

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
from grainscout.benchmarks.reports.page import Section, Table, picture
from grainscout.benchmarks.tasks.score import BOUNDARY_M
from grainscout.experiment import full_window_sites
from grainscout.records import Outcome, Problem
from grainscout.simulator import Structure

_WINDOW = 16


def choice_section(
    problem: Problem, outcomes: Sequence[Outcome], structure: Structure | None
) -> Section | None:
    """Visited against full density of the patches, and which properties the chosen sites share.

    None if the image is too small for patches or nothing was measured where a patch fits.
    """
    window = min(_WINDOW, *problem.scan.shape)
    flat = problem.scan.flat
    fits = np.isin(flat(problem.candidates), flat(full_window_sites(problem.scan.shape, window)))
    pool = problem.candidates[fits]
    sites = np.array([tuple(o.site) for o in outcomes], np.int64)
    inside = np.isin(flat(sites), flat(pool))
    if inside.sum() < 3 or len(pool) < 10:
        return None
    height = problem.scan.channel(next(iter(problem.scan.channels)))
    features = patch_components(height, pool, window=window)
    features /= np.maximum(features.std(axis=0), np.finfo(float).tiny)
    visited = np.searchsorted(flat(pool), flat(sites[inside]))
    test = density_test(features, visited)
    drivers = choice_drivers(_properties(problem, pool, height, structure), visited)
    rows = [
        [str(r.property), f"{r.effect:+.2f}", f"{r.p_adjusted:.2g}"]
        for r in drivers.itertuples(index=False)
    ]
    differ = "differ" if test.p_value < 0.05 else "do not differ"
    pictures = [
        picture(
            figures.latent_density(
                features,
                visited,
                axes=("patch component 1 (sd)", "patch component 2 (sd)"),
                note=f"energy distance {test.distance:.2g}, p = {test.p_value:.2g}",
            ),
            f"Patches of all candidates and of the visited sites, in their first two principal "
            f"components. They {differ} from a random choice of as many sites (energy distance, p = "
            f"{test.p_value:.2g}).",
            "Density of visited patches against all patches",
        )
    ]
    text = []
    if structure is not None:
        table = boundary_choice(
            sites, structure.boundary_id, structure.boundary_distance, candidates=problem.candidates
        )
        if len(table) and table["visits"].sum():
            preferred = int((table["p_adjusted"] < 0.05).sum())
            text.append(
                f"{int(table['visits'].sum())} visits to boundaries; {preferred} of {len(table)} "
                "boundaries were chosen more or less often than their length explains (Holm)."
            )
            pictures.append(
                picture(
                    figures.boundary_visits(
                        table,
                        structure.boundary_id,
                        structure.boundary_distance,
                        pixel_size=problem.scan.pixel_size,
                    ),
                    "Visits to each boundary over what its length lets expect; stars: adjusted p < 0.05.",
                    "Which boundaries were chosen",
                )
            )
    return Section(
        id="choice",
        title="What it chose",
        text=text,
        tables=[
            Table(
                title="Chosen sites against all candidates: difference of means in standard deviations",
                heads=["property", "effect", "p, Holm"],
                rows=rows,
            )
        ],
        pictures=pictures,
    )


def other_questions(problem: Problem, measured: Sequence[Outcome]) -> Section:
    """What the same curves say to every other descriptor."""
    current = np.array([o.curve.current for o in measured if o.curve is not None])
    saturated = np.array([o.curve.saturated for o in measured if o.curve is not None])
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
    return Section(
        id="counterfactual",
        title="Other questions to the same curves",
        tables=[
            Table(
                title=f"Descriptors along the trace; last column: rank correlation with {problem.target}",
                heads=["descriptor", "valid", "bounds", "largest", "at", "correlation"],
                rows=rows,
            )
        ],
    )


def _properties(
    problem: Problem, pool: np.ndarray, height: np.ndarray, structure: Structure | None
) -> dict[str, np.ndarray]:
    """Properties of candidates that a person would name; truth only where the film is simulated."""
    along_row, along_column = np.gradient(height, *problem.scan.pixel_size)
    slope = np.hypot(along_row, along_column)
    bend = np.gradient(along_row, problem.scan.pixel_size[0], axis=0) + np.gradient(
        along_column, problem.scan.pixel_size[1], axis=1
    )
    at = tuple(pool.T)
    found = {"height": height[at], "slope": slope[at], "curvature (valleys +)": bend[at]}
    if structure is not None and np.isfinite(structure.boundary_distance).all():
        found["near a boundary (truth)"] = (structure.boundary_distance[at] < BOUNDARY_M).astype(
            float
        )
        found["boundary asymmetry (truth)"] = np.abs(structure.asymmetry[at])
        if np.isfinite(structure.junction_distance).all():
            found["distance to a junction (truth)"] = structure.junction_distance[at]
    return found


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.2f}"
