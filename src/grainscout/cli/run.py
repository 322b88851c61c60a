"""Command ``grainscout run``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from grainscout.cli.console import console, notes
from grainscout.records import ConfigError, JournalError

if TYPE_CHECKING:
    from grainscout.benchmarks import Environment
    from grainscout.config import RunConfig
    from grainscout.experiment import Experiment
    from grainscout.journal import Journal
    from grainscout.records import Problem


Resume = Annotated[
    Path | None, Option("--resume", help="Journal to continue. It needs no other argument.")
]


def run(
    config: Annotated[
        Path | None, Argument(help="Experiment file (TOML), such as a winner.toml.")
    ] = None,
    out: Annotated[
        Path | None, Option("--out", "-o", help="Journal to write (a new file).")
    ] = None,
    resume: Resume = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print the first sites without sending any command.")
    ] = False,
    approved: Annotated[
        bool, Option("--approved", help="Refuse a file that was not approved: grainscout approve.")
    ] = False,
) -> None:
    """Run one experiment on any microscope, or resume one."""
    from grainscout.config import load_run
    from grainscout.config.approval import load_approved

    if resume is not None:
        if out is not None or dry_run:
            raise ConfigError("--resume must stand alone: the journal is continued in place")
        _resume(resume, None if config is None else load_run(config))
        return
    if config is None:
        raise ConfigError("run must be given an experiment file, or --resume and a journal")
    settings = load_approved(config) if approved else load_run(config)
    if dry_run:
        _plan(settings)
        return
    path = out or config.with_suffix(".gsj")
    if path.exists():
        raise JournalError(
            f"{path} exists and is not overwritten. Go on with it: grainscout run --resume {path}; or "
            "choose another --out"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _start(settings, path)


def _start(settings: RunConfig, path: Path) -> None:
    from grainscout.benchmarks import make_environment
    from grainscout.config import run_document
    from grainscout.experiment import Experiment
    from grainscout.journal import Header, Journal
    from grainscout.records.supports import SupportsState, supports

    environment = make_environment(settings.task, settings.seed, settings.limits)
    scope = environment.microscope
    with settings.open_policy(scope) as policy, scope:  # a lost server is found before the image
        problem = environment.problem()
        _print_offered_sites(environment, problem)
        header = Header(problem=problem, config=run_document(settings), seed=settings.seed)
        left = scope.state() if supports(scope, SupportsState) else None
        with Journal.create(path, header, left) as journal, journal.locked():
            make = partial(Experiment, problem=problem, seed=settings.seed, journal=journal)
            _drive(partial(make, scope, policy, **settings.loop_settings()), journal)


def _resume(path: Path, given: RunConfig | None) -> None:
    from grainscout.benchmarks import make_environment
    from grainscout.config import RunConfig, parse, run_document
    from grainscout.experiment import Experiment
    from grainscout.journal import Journal

    with Journal.open(path) as journal, journal.locked():  # before the tip of the other is parked
        settings = parse(RunConfig, journal.header().config, str(path))
        if given is not None and run_document(given) != run_document(settings):
            raise JournalError(
                f"journal {path} is of another experiment than that file. Resume it without the file, "
                "or start a new journal with --out"
            )
        scan = journal.header().problem.scan
        environment = make_environment(settings.task, settings.seed, settings.limits, scan)
        with settings.open_policy(environment.microscope) as policy, environment.microscope:
            make = partial(Experiment.resume, journal, environment.microscope, policy)
            _drive(partial(make, **settings.loop_settings()), journal)


def _print_offered_sites(environment: Environment, problem: Problem) -> None:
    """Print the number of offered sites and the notes."""
    for sentence in environment.notes:
        console.print(f"note: {sentence}")
    recorded = environment.microscope.capabilities.sites
    if recorded is not None and len(problem.candidates) < len(recorded):
        console.print(
            f"{len(problem.candidates)} of {len(recorded)} recorded sites can be measured with window_px "
            f"= {environment.task.window_px}"
            + (" and frame_m" if environment.microscope.limits.frame_m else "")
        )
    wanted = problem.budget.curves
    if wanted is not None and wanted > len(problem.candidates):
        console.print(
            f"note: {wanted} curves are asked for, and with window_px = {environment.task.window_px} "
            f"there {'is 1 site' if len(problem.candidates) == 1 else f'are {len(problem.candidates)} sites'}"
        )


def _drive(make: Callable[..., Experiment], journal: Journal) -> None:
    """Run an experiment with a progress bar."""
    from grainscout.experiment import progress_bar
    from grainscout.experiment.outcomes import costs

    total, done = journal.header().problem.budget.curves, sum(map(costs, journal.outcomes()))
    with progress_bar(total, "measuring", done, notes) as bar:
        result = make(observe=bar).run()
    ok = sum(o.curve is not None for o in result.outcomes)
    console.print(
        f"{len(result.outcomes)} measurements, {len(result.outcomes) - ok} failed; {result.reason}"
    )
    console.print(f"journal: {journal.path}\nreport:  grainscout report {journal.path}")


def _plan(settings: RunConfig) -> None:
    """Print the first sites, from the problem alone."""
    from grainscout.benchmarks import make_environment
    from grainscout.policies import make_policy
    from grainscout.records import spawn_streams

    microscope = settings.task.microscope
    if not microscope.has_truth:
        # Opening it sends commands already, and the first sites depend on an image.
        raise ConfigError(
            f"--dry-run needs a simulated or replayed microscope; got {microscope.kind!r}, which would have "
            "to scan. Use: grainscout preflight FILE --scan IMAGE"
        )
    environment = make_environment(settings.task, settings.seed, settings.limits)
    problem = environment.problem()
    policy = make_policy(settings.policy.name, settings.policy.options)
    _print_offered_sites(environment, problem)
    policy.reset(problem, rng=spawn_streams(settings.seed).policy_rng())
    rows, columns = problem.scan.shape
    console.print(
        f"scan {rows} x {columns} pixels of {problem.scan.pixel_size[1] * 1e9:.3g} nm, "
        f"{len(problem.candidates)} candidate sites\n"
        f"{problem.waveform.kind}: {len(problem.waveform)} samples, {problem.waveform.duration:g} s, "
        f"peak {problem.waveform.peak:g} V, {problem.waveform.slew:g} V/s; "
        f"light {problem.light:g} suns\nfirst sites:"
    )
    for proposal in policy.ask(min(10, problem.budget.curves or 10)):
        x, y = problem.scan.position(proposal.site)
        console.print(
            f"  {proposal.id}  {tuple(proposal.site)}  x {x * 1e9:.1f} nm, y {y * 1e9:.1f} nm"
        )
