"""The conformance suite of policies."""

import inspect
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grainscout.policies.conformance.toy_sample import Step, ToySample, digest, note, play
from grainscout.policies.protocol import Policy, SupportsExplain, SupportsPredict
from grainscout.records.arrays import FloatArray
from grainscout.records.encoding.packing import pack, unpack
from grainscout.records.errors import MISTAKES, CheckResult, ConfigError, PolicyError
from grainscout.records.problem import Problem, Proposal
from grainscout.records.scan import Site
from grainscout.records.supports import SupportsState, supports

#: Sizes of the asks of a run: batches while seed points are taken, then one at a time.
_SIZES = (4, 4, 4, 1, 1, 1, 1, 2)


def check_policy(factory: Callable[..., Policy], *, seed: int = 0) -> list[CheckResult]:
    """Run every check on policies that `factory` makes, one result a check.

    Parameters
    ----------
    factory : callable
        Gives a fresh policy when called without arguments (a class will do). A factory with a
        parameter ``truth`` (an oracle) is given the (n_candidates,) true target values.
    seed : int
        Seed of the toy sample and of the policy's generator.

    Notes
    -----
    Checks of an optional protocol (``SupportsPredict``, ``SupportsState``, ``SupportsExplain``) pass if the policy
    does not offer it.
    """
    bench = _Bench(factory=factory, seed=seed)
    results = []
    for name, check in _CHECKS.items():
        about = (check.__doc__ or "").strip()
        try:
            problems = list(check(bench))
        except MISTAKES as error:
            problems = [f"raised {type(error).__name__}: {error}"]
        results.append(
            CheckResult(name=name, passed=not problems, message="; ".join(problems), about=about)
        )
    return results


def require_conforming(factory: Callable[..., Policy], *, seed: int = 0) -> None:
    """PolicyError that lists every failed check of :func:`check_policy`, if any failed."""
    failed = [r for r in check_policy(factory, seed=seed) if not r.passed]
    if failed:
        listing = "\n".join(f"  {r.name}: {r.message}" for r in failed)
        raise PolicyError(f"the policy fails {len(failed)} of {len(_CHECKS)} checks:\n{listing}")


@dataclass(kw_only=True)
class _Bench:
    factory: Callable[..., Policy]
    seed: int

    @cached_property
    def toy(self) -> ToySample:
        return ToySample(seed=self.seed)

    @cached_property
    def problem(self) -> Problem:
        return self.toy.problem(60)

    def make(self, problem: Problem | None = None) -> Policy:
        problem = problem or self.problem
        if not self.takes_truth:
            return self.factory()
        return self.factory(truth=_truth(self.toy, problem))

    @cached_property
    def takes_truth(self) -> bool:
        parameters = inspect.signature(self.factory).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return "truth" in parameters
        try:  # a factory that passes on whatever it is given
            return bool(getattr(self.factory(), "uses_truth", False))
        except (ConfigError, TypeError):
            return True

    def fresh(self, problem: Problem | None = None, *, seed: int | None = None) -> Policy:
        problem = problem or self.problem
        policy = self.make(problem)
        policy.reset(problem, rng=np.random.default_rng(self.seed if seed is None else seed))
        return policy

    @cached_property
    def run(self) -> list[Step]:
        """The trajectory that others are compared with."""
        return play(self.fresh(), self.toy.measure, _SIZES)

    def differs(self, steps: list[Step], what: str) -> Iterator[str]:
        """A message if the steps are not the end of the reference trajectory."""
        expected = self.run[len(self.run) - len(steps) :]
        for k, (a, b) in enumerate(zip(expected, steps, strict=True)):
            if a != b:
                yield f"{what}: ask {k} must give {a}; got {b}"
                return


def _truth(toy: ToySample, problem: Problem) -> FloatArray:
    from grainscout.analysis.curves.descriptors import describe_target

    current = toy.current(problem.candidates)
    return np.asarray(describe_target(problem, current).value, np.float64)


def _keeps_protocol(bench: _Bench) -> Iterator[str]:
    """It has reset, ask and tell. A policy that is given the truth says so (uses_truth)."""
    policy: object = bench.make()
    if not isinstance(policy, Policy):
        yield "a policy must have the methods reset, ask and tell"
    if bench.takes_truth != bool(getattr(policy, "uses_truth", False)):
        yield "exactly a policy that takes the truth must have uses_truth = True"


def _proposes_candidates(bench: _Bench) -> Iterator[str]:
    """ask(n) gives at most n different candidate sites, with unique ids and usable numbers."""
    known = set(map(tuple, bench.problem.candidates.tolist()))
    ids: list[str] = []
    for size, step in zip(_SIZES, bench.run, strict=True):
        sites = [tuple(s) for _, s, *_ in step]
        ids += [i for i, *_ in step]
        if not 0 < len(step) <= size:
            yield f"ask({size}) must give 1 to {size} proposals here; got {len(step)}"
        if len(set(sites)) < len(sites):
            yield f"the sites of one ask must differ; got {sites}"
        if strangers := [s for s in sites if s not in known]:
            yield f"proposals must be candidates; got {strangers}"
        for _, site, mean, std, scores in step:
            numbers = [x for x in (mean, std, *scores.values()) if x is not None]
            if not np.isfinite(numbers).all() or (std is not None and std < 0):
                yield f"numbers of a proposal must be finite, std >= 0; got {numbers} at {site}"
    if len(set(ids)) < len(ids):
        yield f"proposal ids must be unique; got {ids}"


def _never_revisits(bench: _Bench) -> Iterator[str]:
    """No site is proposed twice, whether measured, or still pending while more are asked for."""
    sites = [s for step in bench.run for _, s, *_ in step]
    policy = bench.fresh()
    pending = [p.site for _ in range(4) for p in policy.ask(5)]
    for name, seen in (("a run", sites), ("asks without a tell", pending)):
        if len(set(seen)) < len(seen):
            yield f"{name} must not propose a site twice unless told to; got {seen}"


def _is_deterministic(bench: _Bench) -> Iterator[str]:
    """The same generator and outcomes give the same proposals, numbers included, bit for bit."""
    yield from bench.differs(play(bench.fresh(), bench.toy.measure, _SIZES), "a second run")


def _ignores_order(bench: _Bench) -> Iterator[str]:
    """The order of outcomes in tell, and their portions, change nothing."""
    orders: dict[str, Callable[[list[Any]], list[list[Any]]]] = {
        "told backwards": lambda o: [o[::-1]],
        "told one by one": lambda o: [[x] for x in o],
        "told one by one, backwards": lambda o: [[x] for x in o[::-1]],
        "told with empty tells": lambda o: [[], o, []],
    }
    for name, arrange in orders.items():
        yield from bench.differs(
            play(bench.fresh(), bench.toy.measure, _SIZES, arrange=arrange), name
        )


def _welcomes_foreign_points(bench: _Bench) -> Iterator[str]:
    """Points measured by hand are taken: before the first ask, off the candidates, repeated."""
    by_hand = [Site(*map(int, s)) for s in bench.problem.candidates[:5]]
    known = set(map(tuple, bench.problem.candidates.tolist()))
    off = next(Site(r, c) for r in range(8, 28) for c in range(8, 28) if (r, c) not in known)
    policy = bench.fresh()
    policy.tell([bench.toy.measure(s) for s in [*by_hand, off]])
    policy.tell([bench.toy.measure(by_hand[0], visit=1)])
    sites = [s for step in play(policy, bench.toy.measure, (4, 1, 1)) for _, s, *_ in step]
    if not sites or set(sites) & set(by_hand):
        yield f"sites measured by hand {by_hand} must not be proposed again; got {sites}"


def _survives_failures(bench: _Bench) -> Iterator[str]:
    """Failed measurements are not proposed for ever. With all failing, asks come to an end."""
    problem = bench.toy.problem(14)
    policy, seen = bench.fresh(problem), 0
    while proposals := policy.ask(5):
        seen += len(proposals)
        policy.tell([bench.toy.failed(p) for p in proposals])
        if seen > 20 * 14:
            yield "with every measurement failing, ask must come to an empty list; it does not"
            return
    policy = bench.fresh()
    calls = iter(range(100))
    steps = play(
        policy,
        lambda p: bench.toy.failed(p) if next(calls) % 3 == 0 else bench.toy.measure(p),
        _SIZES,
    )
    if not all(steps):
        yield "with every third measurement failing, ask must go on proposing; it stopped"


def _survives_odd_curves(bench: _Bench) -> Iterator[str]:
    """Saturated curves, and curves without any current, are taken and asks go on."""
    for name, answer in (("saturated", bench.toy.saturated), ("insulating", bench.toy.insulating)):
        if not all(play(bench.fresh(), answer, _SIZES)):
            yield f"with only {name} curves, ask must go on proposing; it stopped"


def _continues_from_state(bench: _Bench) -> Iterator[str]:
    """A packed state, restored into a new policy, continues bit for bit. Taking it is harmless."""
    policy = bench.fresh()
    if not supports(policy, SupportsState):
        return
    for cut in (0, 2, 5):
        first = bench.fresh()
        play(first, bench.toy.measure, _SIZES[:cut])
        pending = first.ask(_SIZES[cut])
        stored = pack(first.state())  # type: ignore[attr-defined]
        second = bench.fresh(seed=bench.seed + 1)
        second.restore(unpack(stored))  # type: ignore[attr-defined]
        for name, other in (("after state()", first), ("restored", second)):
            other.tell([bench.toy.measure(p) for p in pending])
            steps = play(other, bench.toy.measure, _SIZES[cut + 1 :])
            yield from bench.differs(steps, f"{name} at ask {cut}")
    stranger = ToySample(seed=bench.seed + 7).problem(60)
    other = bench.fresh(stranger)
    try:
        other.restore(unpack(pack(policy.state())))  # type: ignore[attr-defined]
    except PolicyError:
        return
    yield "restore must raise PolicyError for the state of another problem; it took it"


def _leaves_globals_alone(bench: _Bench) -> Iterator[str]:
    """No global random state is used: of random, numpy, or torch if it is loaded."""
    play(bench.fresh(), bench.toy.measure, _SIZES[:1])  # whatever is loaded lazily is loaded now

    def snapshot() -> dict[str, str]:
        legacy = np.random.get_state(legacy=True)  # noqa: NPY002
        found = {
            "random": repr(random.getstate()),
            "numpy": repr([*map(np.ndarray.tolist, map(np.asarray, legacy))]),
        }
        if torch := sys.modules.get("torch"):
            found["torch"] = repr(torch.get_rng_state().tolist())
        return found

    before = snapshot()
    play(bench.fresh(), bench.toy.measure, _SIZES)
    for name, value in snapshot().items():
        if value != before.get(name, value):  # loaded meanwhile: not known
            yield f"all randomness must come from the generator of reset; {name}'s global state moved"


def _leaves_problem_alone(bench: _Bench) -> Iterator[str]:
    """The problem's arrays and settings are not changed."""
    before = digest(bench.problem)
    play(bench.fresh(), bench.toy.measure, _SIZES)
    if digest(bench.problem) != before:
        yield "the problem must not be changed; it was"


def _works_with_one_candidate(bench: _Bench) -> Iterator[str]:
    """One candidate is proposed once."""
    policy = bench.fresh(bench.toy.problem(1))
    steps = play(policy, bench.toy.measure, (3, 1, 1))
    if [len(s) for s in steps] != [1, 0, 0]:
        yield f"one candidate must be proposed once; got {[len(s) for s in steps]} proposals"


def _stops_when_exhausted(bench: _Bench) -> Iterator[str]:
    """Every candidate is proposed once, or at least half of them, then asks give an empty list."""
    problem = bench.toy.problem(16)
    policy, seen = bench.fresh(problem), []
    for _ in range(17):
        proposals = policy.ask(3)
        seen += [p.site for p in proposals]
        policy.tell([bench.toy.measure(p) for p in proposals])
    if len(set(seen)) < len(seen) or not 8 <= len(seen) <= 16:
        yield f"16 candidates must be proposed at most once each; got {len(seen)} proposals"
    if policy.ask(1) or policy.ask(3):
        yield "ask must give an empty list when nothing is left"


def _resets_cleanly(bench: _Bench) -> Iterator[str]:
    """reset forgets everything: the trajectory is that of a new policy, on any problem before."""
    policy = bench.make()
    before = [bench.problem] if bench.takes_truth else [bench.problem, bench.toy.problem(23)]
    for problem in before:
        policy.reset(problem, rng=np.random.default_rng(bench.seed + 3))
        play(policy, bench.toy.measure, (4, 4, 4, 1))
    policy.reset(bench.problem, rng=np.random.default_rng(bench.seed))
    yield from bench.differs(play(policy, bench.toy.measure, _SIZES), "after a reset")


def _predicts(bench: _Bench) -> Iterator[str]:
    """predict gives finite means and deviations of every candidate, and changes nothing."""
    policy = bench.fresh()
    if not supports(policy, SupportsPredict):
        return
    try:
        policy.predict()
    except PolicyError:
        pass
    else:
        yield "predict must raise PolicyError before any outcome"
    steps = []
    for size in _SIZES:
        proposals: list[Proposal] = policy.ask(size)
        steps.append(note(proposals))
        policy.tell([bench.toy.measure(p) for p in proposals])
        mean, std = policy.predict()
        if mean.shape != (60,) or std.shape != (60,):
            yield f"predict must give two arrays of shape (60,); got {mean.shape}, {std.shape}"
        elif not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
            yield "predict must give finite means and deviations >= 0"
    yield from bench.differs(steps, "with predict after every tell")


def _explains(bench: _Bench) -> Iterator[str]:
    """explain gives named maps of the scan's shape, NaN off the candidates, and changes nothing."""
    policy = bench.fresh()
    if not supports(policy, SupportsExplain):
        return
    shape = bench.problem.scan.shape
    outside = np.ones(shape, bool)
    outside[tuple(bench.problem.candidates.T)] = False
    steps = play(policy, bench.toy.measure, _SIZES[:4])
    for name, image in policy.explain().items():
        if image.shape != shape or not np.isnan(image[outside]).all():
            yield f"explained map {name!r} must have shape {shape} and be NaN off the candidates"
    steps += play(policy, bench.toy.measure, _SIZES[4:])
    yield from bench.differs(steps, "with explain in between")


_CHECKS: dict[str, Callable[[_Bench], Iterator[str]]] = {
    check.__name__.strip("_"): check
    for check in (
        _keeps_protocol,
        _proposes_candidates,
        _never_revisits,
        _is_deterministic,
        _ignores_order,
        _welcomes_foreign_points,
        _survives_failures,
        _survives_odd_curves,
        _continues_from_state,
        _leaves_globals_alone,
        _leaves_problem_alone,
        _works_with_one_candidate,
        _stops_when_exhausted,
        _resets_cleanly,
        _predicts,
        _explains,
    )
}
