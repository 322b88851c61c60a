"""Report of one run from its journal."""

from pathlib import Path

import numpy as np

from grainscout.analysis import figures
from grainscout.analysis.curves.archetypes import ARCHETYPE_NAMES, UNKNOWN, classify
from grainscout.analysis.curves.descriptors import describe_target
from grainscout.analysis.curves.quality_of_run import with_quality
from grainscout.benchmarks.campaign.cell import evaluation_map
from grainscout.benchmarks.reports.page import Details, Section, Table, picture, write_page
from grainscout.benchmarks.reports.run_forensics import choice_section, other_questions
from grainscout.benchmarks.reports.run_quality import curves_of, left_out, quality_section
from grainscout.benchmarks.tasks.score import running_diversity, score_map, score_run
from grainscout.benchmarks.tasks.truth import TaskTruth
from grainscout.journal import Header, Journal
from grainscout.policies import Policy, make_policy
from grainscout.policies.protocol import SupportsExplain
from grainscout.records import DataError, Outcome, Problem
from grainscout.records.supports import supports
from grainscout.simulator import Structure


def write_run_report(
    journal: Journal, path: Path, truth: TaskTruth | None = None, structure: Structure | None = None
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    journal : Journal
        Journal of the run.
    path : Path
        HTML file to write.
    truth : TaskTruth, optional
        Truth of the film or recording.
    structure : Structure, optional
        Structure of the film.
    """
    header = journal.header()
    problem = header.problem
    outcomes = with_quality(journal.outcomes(), problem)
    measured = [o for o in outcomes if o.curve is not None]
    if not measured:
        raise DataError(f"journal {journal.path} holds no measured curve yet: nothing to report")
    policy = header.config.get("policy", {})
    name = str(policy.get("label") or policy.get("name", "policy"))
    sections = [_overview(problem, outcomes, measured), quality_section(problem, measured)]
    if any(o.usable for o in measured):
        sections += _of_usable_curves(problem, header, outcomes, truth)
    choice = choice_section(problem, outcomes, structure)
    if choice is not None:
        sections.append(choice)
    sections.append(_protocol(journal, outcomes))
    ends = [e.detail.get("reason", "") for e in journal.events() if e.kind == "end"]
    write_page(
        path,
        kind="run report",
        title=f"{name}: {journal.path.name}",
        question=f"{len(measured)} curves by {name} with target {problem.target}, on "
        f"{len(problem.candidates)} candidate sites, begun {header.created}.",
        verdicts=[
            f"Ended with: {ends[-1]}" if ends else "Still running, or ended without a message."
        ],
        sections=sections,
    )


def _of_usable_curves(
    problem: Problem, header: Header, outcomes: list[Outcome], truth: TaskTruth | None
) -> list[Section]:
    """Sections of the run's usable curves."""
    usable = [o for o in outcomes if o.usable]
    note = left_out([o for o in outcomes if o.curve is not None])
    current, saturated = curves_of(usable)
    described = describe_target(problem, current, saturated)
    sections = [
        _target(problem, usable, described.value, described.unit, note),
        _curves(problem, current, note),
    ]
    explained = _explanation(header, outcomes, described.unit)
    if explained is not None:
        sections.append(explained)
    sections.append(other_questions(problem, usable, note))
    if truth is not None and np.ptp(truth.target[truth.mapped]) == 0:
        sections.append(_one_value(problem, truth))
    elif truth is not None:
        sections.append(_against_truth(problem, truth, usable, note))
    return sections


def _overview(problem: Problem, outcomes: list[Outcome], measured: list[Outcome]) -> Section:
    sites = np.array([tuple(o.site) for o in outcomes])
    steps = np.diff(problem.scan.positions(sites), axis=0)
    minutes = outcomes[-1].finished / 60.0
    rows = [
        ["measurements", str(len(outcomes))],
        ["failed", str(len(outcomes) - len(measured))],
        ["saturated", str(sum(o.status == "saturated" for o in outcomes))],
        ["microscope's clock, min", f"{minutes:.1f}"],
        ["travel, µm", f"{np.hypot(*steps.T).sum() * 1e6:.2f}" if len(steps) else "0"],
    ]
    scan = problem.scan
    drawn = figures.sites_over_topography(scan, sites)
    caption = "Measured sites over the scan, coloured by step."
    pictures = [picture(drawn, caption, "Measured sites over the topography")]
    others = {
        n: image for n, image in scan.channels.items() if n not in (scan.image_name, "grains")
    }
    if others:
        bias = scan.metadata.get("bias_V")
        names = ", ".join(others) + ("" if bias is None else f", at {bias:g} V")
        drawn = figures.explain_maps(
            others, pixel_size=scan.pixel_size, sites=sites, units=dict(scan.units)
        )
        pictures.append(picture(drawn, f"Images beside the height: {names}.", f"Images: {names}"))
    table = Table(title="The run", heads=["", ""], rows=rows)
    return Section(id="sites", title="Measured sites", tables=[table], pictures=pictures)


def _target(
    problem: Problem, usable: list[Outcome], values: np.ndarray, unit: str, note: str
) -> Section:
    factor, shown_unit = figures.engineering(values, unit)
    course = {
        f"{problem.target} ({shown_unit})": values * factor,
        "diversity of curves": running_diversity(problem, usable),
    }
    caption = (
        f"Left: {problem.target} of each curve in order. Right: mean pairwise distance of the "
        f"curves so far.{note}"
    )
    alt = f"{problem.target} and diversity against measurements"
    shown = picture(figures.diversity_of_run(course), caption, alt)
    return Section(id="course", title="Values and diversity over the run", pictures=[shown])


def _curves(problem: Problem, current: np.ndarray, note: str) -> Section:
    voltage = problem.waveform.voltage
    archetypes = classify(voltage, current)
    known = archetypes != UNKNOWN
    if not known.any():
        text = "The sweep has no loop, so the curves have no archetype."
        drawn = figures.iv_curves(voltage, current[:: max(len(current) // 6, 1)][:6])
        caption = f"Measured curves, evenly spaced over the run.{note}"
        shown = picture(drawn, caption, "Example curves")
        return Section(id="curves", title="Curves", text=[text], pictures=[shown])
    drawn = figures.archetype_examples(
        voltage,
        current[known],
        archetypes[known],
        names=ARCHETYPE_NAMES,
        steps=np.flatnonzero(known) + 1,
    )
    caption = f"Examples of each archetype, and the number of the first one.{note}"
    shown = picture(drawn, caption, "Example curves by archetype")
    text = "The archetypes are those of the measured loops. The truth is not used here."
    return Section(id="curves", title="Archetypes of the curves", text=[text], pictures=[shown])


def _explanation(header: Header, outcomes: list[Outcome], unit: str) -> Section | None:
    """Maps of a fresh policy after all outcomes."""
    spec = header.config.get("policy")
    if not isinstance(spec, dict):
        return None
    policy: Policy = make_policy(str(spec["name"]), spec.get("options", {}))
    policy.reset(header.problem, rng=header.policy_rng())
    policy.tell(outcomes)
    if not supports(policy, SupportsExplain):
        return None
    maps = policy.explain()
    if not maps:
        return None
    drawn = figures.explain_maps(
        maps,
        pixel_size=header.problem.scan.pixel_size,
        sites=np.array([tuple(o.site) for o in outcomes]),
        units={"mean": unit, "uncertainty": unit},
    )
    names = ", ".join(maps)
    caption = f"Maps of the policy after the last measurement: {names}."
    shown = picture(drawn, caption, f"Maps of the policy: {names}")
    return Section(id="explanation", title="Maps of the policy", pictures=[shown])


def _one_value(problem: Problem, truth: TaskTruth) -> Section:
    """Truth section of a sample without a map."""
    factor, unit = figures.engineering(truth.target[truth.mapped], truth.unit)
    value = truth.target[truth.mapped][0] * factor
    text = (
        f"The true {problem.target} is {value:.4g} {unit} at all {truth.mapped.sum()} sites that "
        "have a value: there is no map to score."
    )
    return Section(id="truth", title="Against the truth", text=[text])


def _against_truth(problem: Problem, truth: TaskTruth, usable: list[Outcome], note: str) -> Section:
    """Metrics of the run's usable curves against the truth."""
    steps = score_run(problem, truth, usable)
    mean, std = evaluation_map(problem, usable)
    score = score_map(truth, mean, std)
    rows = [
        ["wanted examples found", f"{steps['found'][-1]:.0%}"],
        ["expected of random sampling", f"{steps['found_random'][-1]:.0%}"],
        ["map error / sd of truth", f"{score['nrmse']:.2f}"],
        ["truth within the 95 % interval", f"{score['coverage']:.0%}"],
    ]
    for name in ("boundary", "junction"):
        if name in steps:
            about = f"sites at a {name}, over their share of the film"
            rows.append([about, f"{steps[name][-1]:.2f}"])
    drawn = figures.predicted_vs_true(
        *(problem.as_map(v) for v in (truth.target, mean, std)),
        pixel_size=problem.scan.pixel_size,
        name=problem.target,
        unit=truth.unit,
        sites=np.array([tuple(o.site) for o in usable]),
    )
    caption = (
        f"True {problem.target}, the evaluation model's map from this run's curves, and its "
        "uncertainty."
    )
    known = "The truth is known, because the film is simulated or the curves were recorded before."
    return Section(
        id="truth",
        title="Against the truth",
        text=[known + note],
        tables=[Table(title="After the last measurement", heads=["", ""], rows=rows)],
        pictures=[picture(drawn, caption, f"True and predicted maps of {problem.target}")],
    )


def _protocol(journal: Journal, outcomes: list[Outcome]) -> Section:
    failed = "\n".join(
        f"{o.started:10.1f} s  {tuple(o.site)}  {o.message}"
        for o in outcomes
        if o.status == "failed"
    )
    events = "\n".join(
        f"{e.clock_s:10.1f} s  {e.kind:10} {dict(e.detail)}" for e in journal.events()
    )
    versions = "\n".join(f"{k:14} {v}" for k, v in journal.header().versions.items())
    blocks = [
        Details(title="Events", pre=events or "none"),
        Details(title="Versions", pre=versions),
    ]
    if failed:
        blocks.insert(0, Details(title="Failed measurements", pre=failed))
    return Section(id="protocol", title="Protocol", details=blocks, tables=_scores(journal))


def _scores(journal: Journal) -> list[Table]:
    """What the policy said with its proposals, at five times of the run."""
    scored = [(k + 1, p.scores) for k, p in enumerate(journal.proposals()) if p.scores]
    if not scored:
        return []
    shown = [scored[k] for k in np.unique(np.linspace(0, len(scored) - 1, 5).astype(int))]
    names = sorted(set().union(*(scores for _, scores in shown)))
    rows = [
        [name, *(f"{scores[name]:.3g}" if name in scores else "" for _, scores in shown)]
        for name in names
    ]
    heads = ["", *(f"proposal {k}" for k, _ in shown)]
    return [Table(title="The policy's scores", heads=heads, rows=rows)]
