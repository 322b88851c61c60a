"""Published statements about where policies measure, judged on a campaign's runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from grainscout.analysis import diversity
from grainscout.analysis.forensics import density_test, patch_components
from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.statements.statement import TAG, Finding, judge
from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.score import BOUNDARY_M, JUNCTION_M
from grainscout.benchmarks.tasks.task import Task
from grainscout.policies import ModelPolicy, make_policy
from grainscout.policies.strategies.boundary import BoundaryCandidates
from grainscout.records import ConfigError, FloatArray, IntArray, Problem
from grainscout.simulator import Structure

#: What the statements of Liu2023 were made with: our deep kernel, the published network and AtomAI's own.
_ENGINES = ("dkl", "published-dkl", "peer-atomai")
#: Peaks of diversity between these steps count as "about 20" (Gong2026).
_PEAK = (10, 40)
#: A diversity that ends below this share of its peak has fallen.
_FALLEN = 0.95


_Effect = Callable[[IntArray, IntArray, Structure], float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """The steps of a campaign's finished cells, and the films that they were made on."""

    steps: pd.DataFrame
    tasks: Sequence[Task]
    seed: int

    def of(self, task: Task, policy: str) -> dict[int, pd.DataFrame]:
        """film -> steps in order."""
        at = (self.steps["task"] == task.id) & (self.steps["policy"] == policy)
        return {int(str(f)): g.sort_values("step") for f, g in self.steps[at].groupby("film")}

    def scene(self, task: Task, film: int) -> tuple[Problem, Structure]:
        """What the policies were given there, and the truth of its microstructure."""
        environment = make_environment(task, film_seed(self.seed, task.id, film))
        if environment.film is None:
            raise ConfigError(
                f"task {task.id!r} must be on a simulated film to have the tag {TAG!r}; its microscope "
                f"is {task.microscope.kind!r}"
            )
        return environment.problem(), environment.film.structure

    def effects(
        self, tasks: Sequence[Task], policies: Sequence[str], effect: Callable[..., float]
    ) -> tuple[list[str], dict[str, FloatArray]]:
        """Stratum of each film that all these policies finished, and effect(task, film, steps) by policy."""
        strata: list[str] = []
        values: dict[str, list[float]] = {p: [] for p in policies}
        for task in tasks:
            runs = {p: self.of(task, p) for p in policies}
            for film in sorted(set.intersection(*(set(r) for r in runs.values()))):
                strata.append(_stratum(task))
                for p in policies:
                    values[p].append(effect(task, film, runs[p][film]))
        return strata, {p: np.array(v) for p, v in values.items()}


def run_findings(runs: Runs) -> Iterator[Finding]:
    """The statements of Liu2023 and Gong2026 about a policy's choice of sites."""
    raced = set(runs.steps["policy"])
    for finding in (concentration, boundary_only, latent_density, earlier, diversity_peak):
        yield from finding(runs, raced)


def concentration(runs: Runs, raced: set[str]) -> Iterator[Finding]:
    """Sites concentrate on boundaries and junctions, for each target and light."""
    for engine, place in product(_there(raced, *_ENGINES), ("boundary", "junction")):
        policies = [engine, *_controls(raced, engine)]
        for case, tasks in _cases(runs.tasks):

            def enrichment(task: Task, film: int, steps: pd.DataFrame, place: str = place) -> float:
                return float(np.log2(max(steps[place].iloc[-1], 1.0 / len(steps))))

            strata, effects = runs.effects(tasks, policies, enrichment)
            text = f"sites concentrate on {place} regions, whatever the target"
            words = (text, "Liu2023", f"{engine}, {case}", "log2 of their share over that of all")
            yield from _judged(*words, strata=strata, effects=effects)


def boundary_only(runs: Runs, raced: set[str]) -> Iterator[Finding]:
    """In boundary-only runs, sites concentrate on junctions, and on some boundaries more than others."""
    name, blind = "boundary-dkl", "structure-only there"
    if name not in raced:
        return
    places: dict[tuple[str, int], tuple[IntArray, Structure, IntArray]] = {}

    def place(task: Task, film: int, n: int) -> tuple[IntArray, Structure, IntArray]:
        """Boundary sites, true structure, and sites of the control."""
        if (task.id, film) not in places:
            problem, structure = runs.scene(task, film)
            inside = boundary_sites(problem)
            places[task.id, film] = inside, structure, structure_only_sites(problem, inside, n)
        return places[task.id, film]

    def on_junctions(sites: IntArray, inside: IntArray, structure: Structure) -> float:
        on = structure.junction_distance < JUNCTION_M
        share = max(on[tuple(sites.T)].mean(), 0.5 / len(sites))
        return float(np.log2(share / on[tuple(inside.T)].mean()))

    junctions = "log2 of their share over that of the boundary sites"
    for text, measure, effect in (
        ("boundary-only runs concentrate on junctions", junctions, on_junctions),
        (
            "... and on some boundaries more than others",
            "chi-square of visits over what chance gives, less 1",
            unevenness,
        ),
    ):

        def chosen(task: Task, film: int, steps: pd.DataFrame, effect: _Effect = effect) -> float:
            inside, structure, _ = place(task, film, len(steps))
            return effect(steps[["row", "column"]].to_numpy(), inside, structure)

        def without(task: Task, film: int, steps: pd.DataFrame, effect: _Effect = effect) -> float:
            inside, structure, sites = place(task, film, len(steps))
            return effect(sites, inside, structure)

        policies = _there(raced, name, f"{name} shuffled")
        strata, effects = runs.effects(runs.tasks, policies, chosen)
        _, control = runs.effects(runs.tasks, policies, without)
        words = (text, "Liu2023", "all targets, dark and light", measure)
        yield from _judged(*words, strata=strata, effects={**effects, blind: control[name]})


def latent_density(runs: Runs, raced: set[str]) -> Iterator[Finding]:
    """The density of visited patches differs from that of all."""
    learning = _there(raced, *_ENGINES, "dual-novelty")
    spaces: dict[tuple[str, int], tuple[Problem, FloatArray]] = {}

    def excess(task: Task, film: int, steps: pd.DataFrame) -> float:
        if (task.id, film) not in spaces:
            problem, _ = runs.scene(task, film)
            space = patch_components(problem.scan.height, problem.candidates, components=2)
            spaces[task.id, film] = problem, space / space.std(axis=0)
        problem, space = spaces[task.id, film]
        test = density_test(space, _visited(problem, steps), permutations=99)
        return test.distance / test.expected - 1.0

    for name in learning:
        strata, found = runs.effects(runs.tasks, [name, *_controls(raced, name)], excess)
        yield from _judged(
            "the density of visited patches differs from that of all",
            "Gong2026" if name == "dual-novelty" else "Liu2023",
            f"{name}, all targets, dark and light",
            "energy distance over what chance gives, less 1",
            strata=strata,
            effects=found,
        )


def earlier(runs: Runs, raced: set[str]) -> Iterator[Finding]:
    """Dual novelty meets every archetype earlier than random sampling.

    Runs that never do are cut at the budget of all: that mean is Kaplan and Meier's restricted one.
    """
    policies = _there(raced, "dual-novelty", *_controls(raced, "dual-novelty"), "random")
    if not {"dual-novelty", "random"} <= set(policies):
        return
    horizon = int(runs.steps.groupby(["task", "film", "policy"])["step"].max().min())

    def until_all(task: Task, film: int, steps: pd.DataFrame) -> float:
        met = steps["met"].to_numpy()[:horizon] >= 1.0
        return float(met.argmax() + 1 if met.any() else horizon)

    strata, times = runs.effects(runs.tasks, policies, until_all)
    yield from _judged(
        "dual novelty meets every archetype earlier than random sampling",
        "Gong2026",
        "all targets, dark and light",
        f"curves saved, restricted to the first {horizon}",
        strata=strata,
        effects={k: times["random"] - v for k, v in times.items() if k != "random"},
    )


def diversity_peak(runs: Runs, raced: set[str]) -> Iterator[Finding]:
    """Diversity of curves and patches peaks at about 20 steps, then falls slowly."""
    if "dual-novelty" not in raced:
        return
    policies = ["dual-novelty", *_controls(raced, "dual-novelty"), *_there(raced, "random")]

    def spectral(task: Task, film: int, steps: pd.DataFrame) -> float:
        return peaks_early(steps["diversity"].to_numpy())

    def structural(task: Task, film: int, steps: pd.DataFrame) -> float:
        problem, _ = runs.scene(task, film)
        space = patch_components(problem.scan.height, problem.candidates, components=24)
        return peaks_early(diversity.mean_distance_trace(space[_visited(problem, steps)]))

    for what, effect in (("curves", spectral), ("patches", structural)):
        strata, found = runs.effects(runs.tasks, policies, effect)
        yield from _judged(
            f"diversity of {what} peaks at about 20 steps, then falls",
            "Gong2026",
            "dual-novelty, all targets, dark and light",
            f"share of runs with the peak at {_PEAK[0]} to {_PEAK[1]} and an end "
            f"{1 - _FALLEN:.0%} below it, less a half",
            strata=strata,
            effects=found,
        )


def boundary_sites(problem: Problem) -> IntArray:
    """(n, 2) candidates that ``boundary-dkl`` takes for boundaries."""
    policy = ModelPolicy(candidates=BoundaryCandidates())
    policy.reset(problem, rng=np.random.default_rng(0))
    return problem.candidates[policy.candidates.maps(policy.run)["boundary"] > 0]


def structure_only_sites(problem: Problem, inside: IntArray, n: int) -> IntArray:
    """(n, 2) sites that the structure-only control would take among `inside`. No curve is needed."""
    control = make_policy("structure-only", {})
    control.reset(replace(problem, candidates=inside), rng=np.random.default_rng(0))
    return np.array([tuple(p.site) for p in control.ask(n)], np.int64)


def unevenness(sites: IntArray, inside: IntArray, structure: Structure) -> float:
    """Chi-square of the visits to each boundary over its mean for as many random sites, less 1."""
    rng = np.random.default_rng(0)
    near = structure.boundary_distance <= BOUNDARY_M
    ids = np.where(near, structure.boundary_id, -1)
    share = _visits(ids, inside) / max(_visits(ids, inside).sum(), 1)

    def chi_square(places: IntArray) -> float:
        visits = _visits(ids, places)
        expected = share * visits.sum()
        there = expected > 0
        return float(((visits - expected)[there] ** 2 / expected[there]).sum())

    k = min(len(sites), len(inside))
    null = [chi_square(inside[rng.choice(len(inside), k, replace=False)]) for _ in range(99)]
    return chi_square(sites) / float(np.mean(null)) - 1.0


def _visits(ids: NDArray[np.int32], places: IntArray) -> IntArray:
    """How many places lie on each boundary."""
    found = ids[tuple(places.T)]
    return np.bincount(found[found >= 0], minlength=int(ids.max()) + 1)


def peaks_early(trace: FloatArray) -> float:
    """0.5 if the trace peaks early and then falls, else -0.5."""
    known = np.nan_to_num(trace)
    peak = _PEAK[0] - 1 + int(known[_PEAK[0] - 1 :].argmax())  # before, a few curves are no trend
    early = peak < _PEAK[1] and bool(known[-1] < _FALLEN * known[peak])
    return float(early) - 0.5


def _judged(
    statement: str,
    source: str,
    case: str,
    measure: str,
    *,
    strata: Sequence[str],
    effects: Mapping[str, ArrayLike],
) -> Iterator[Finding]:
    """The finding on the first policy, with the others as controls, if there are films."""
    if strata:
        (_, effect), *others = effects.items()
        yield judge(statement, source, case, measure, effect, task=strata, controls=dict(others))


def _cases(tasks: Sequence[Task]) -> Iterator[tuple[str, list[Task]]]:
    """Tasks of one target and light, over all materials."""
    for target, light in sorted({(t.target, t.light_suns) for t in tasks}):
        chosen = [t for t in tasks if (t.target, t.light_suns) == (target, light)]
        yield f"{target}, {'light' if light else 'dark'}", chosen


def _stratum(task: Task) -> str:
    """Films of one kind in one light weigh as much as those of another. Targets share them."""
    return f"{getattr(task.microscope, 'film', task.microscope.kind)} {task.light_suns:g}"


def _controls(raced: set[str], policy: str) -> list[str]:
    """Its own twin that learns shuffled curves, or the old control of that kind, and the image alone."""
    twin = f"{policy} shuffled"
    return _there(raced, twin if twin in raced else "shuffled-dkl", "structure-only")


def _there(raced: set[str], *names: str) -> list[str]:
    return [n for n in names if n in raced]


def _visited(problem: Problem, steps: pd.DataFrame) -> IntArray:
    """(n,) index of each step's site among the candidates."""
    return problem.index_of(steps[["row", "column"]].to_numpy())
