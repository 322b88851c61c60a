"""DKL as a policy: it keeps the protocol, learns, and treats bad curves as documented."""

from dataclasses import replace

import numpy as np
import pytest
from samples import fresh

from grainscout.analysis.curves.descriptors import describe
from grainscout.policies import ModelPolicy
from grainscout.policies.conformance import ToySample, play
from grainscout.policies.strategies.dkl import dkl
from grainscout.records import DataError, IVCurve, Outcome, PolicyError, Problem, Scan, Site

TOY = ToySample(seed=4)


def run(policy: ModelPolicy, problem: Problem, steps: int, seed: int = 0) -> list[Site]:
    return [s[0][1] for s in play(fresh(policy, problem, seed), TOY.measure, (1,) * steps)]


def truth(problem: Problem, name: str = "loop_area") -> np.ndarray:
    return describe(name, TOY.waveform.voltage, TOY.current(problem.candidates)).value


def test_learns_the_map_better_than_its_mean() -> None:
    problem = TOY.problem(400)
    policy = dkl()
    run(policy, problem, 60)
    mean, std = policy.predict()
    expected = truth(problem)
    assert np.sqrt(np.mean((mean - expected) ** 2)) < 0.5 * expected.std()
    inside = np.abs(mean - expected) < 1.96 * np.sqrt(std**2 + policy.surrogate.noise)
    assert inside.mean() > 0.85


def test_improvement_finds_the_largest_value_sooner_than_chance() -> None:
    problem = TOY.problem(400)
    expected = truth(problem)
    best = np.sort(expected)[-8]
    index = {tuple(s): k for k, s in enumerate(problem.candidates.tolist())}
    hits = []
    for seed in range(4):
        sites = run(dkl(acquisition="log-ei"), problem, 35, seed)
        hits.append(sum(expected[index[tuple(s)]] >= best for s in sites))
    # 35 of 400 at random would find 0.7 of the eight best.
    assert np.mean(hits) > 3


@pytest.mark.parametrize("acquisition", ["ucb", "thompson", "log-ei"])
def test_goal_min_looks_for_small_values(acquisition: str) -> None:
    problem = TOY.problem(400)
    index = {tuple(s): k for k, s in enumerate(problem.candidates.tolist())}
    expected = truth(problem)
    found = {}
    for goal in ("max", "min"):
        sites = run(dkl(acquisition=acquisition, beta=0.5, goal=goal), problem, 40)[10:]
        found[goal] = np.mean([expected[index[tuple(s)]] for s in sites])
    assert found["min"] < expected.mean() < found["max"]


def test_cost_awareness_saves_travel() -> None:
    problem = TOY.problem(400)
    problem = replace(problem, cost=replace(problem.cost, speed=2e-8))
    travelled = {}
    for aware in (True, False):
        sites = np.array(run(dkl(cost_aware=aware), problem, 40))[10:]
        travelled[aware] = np.linalg.norm(np.diff(sites, axis=0), axis=1).sum()
    assert travelled[True] < 0.7 * travelled[False]


def test_further_channels_can_be_what_it_learns_from() -> None:
    """A height that says nothing, and a current image that says all (S26's extra channels)."""
    problem = TOY.problem(400)
    telling = TOY.maps()[2]
    noise = np.random.default_rng(0).normal(size=telling.shape)
    scan = Scan(channels={"height": noise, "current": telling}, pixel_size=(2e-8, 2e-8))
    problem = replace(problem, scan=scan)
    error = {}
    for channels in ((), ("height",), ("current",)):
        policy = dkl(channels=channels)
        run(policy, problem, 40)
        error[channels] = np.mean((policy.predict()[0] - truth(problem)) ** 2)
    # Noise beside what says all does no harm.
    assert max(error[("current",)], error[()]) < 0.4 * error[("height",)]
    assert error[()] == pytest.approx(error[("current",)], rel=0.2)
    with pytest.raises(DataError, match="no channel 'phase'"):
        dkl(channels=("phase",)).reset(problem, rng=np.random.default_rng(0))


def flat(site: Site) -> Outcome:
    """A spot that never turns on."""
    waveform = TOY.waveform
    noise = 1e-13 * np.random.default_rng(site.row * 100 + site.column).normal(size=len(waveform))
    curve = IVCurve(voltage=waveform.voltage, current=noise, time=waveform.time)
    return Outcome(site=site, status="ok", curve=curve)


def test_censored_curves_are_bounds_or_left_out() -> None:
    problem = TOY.problem(100, target="turn_on")
    for censored, usable in (("bound", True), ("exclude", False)):
        policy = fresh(dkl(censored=censored, seed_points=3), problem)
        play(policy, lambda p: replace(flat(p.site), proposal_id=p.id), (1,) * 8)
        if usable:
            mean, std = policy.predict()
            np.testing.assert_allclose(mean, 1.5, atol=1e-6)
            assert (std > 0).all()
        else:
            # Nothing to learn from: it goes on measuring, and says so when asked for a map.
            with pytest.raises(PolicyError, match="usable value"):
                policy.predict()
            with pytest.raises(PolicyError, match="usable value"):
                policy.explain()


def test_two_readings_by_hand_at_one_site_are_two_targets() -> None:
    """Points measured by hand may carry neither a time nor a visit number."""
    problem = TOY.problem(50)
    policy = fresh(dkl(seed_points=2), problem)
    site = Site(*map(int, problem.candidates[7]))
    first = TOY.measure(site)
    curve = replace(first.curve, current=3.0 * first.curve.current)  # type: ignore[type-var, union-attr]
    policy.tell([first, replace(first, curve=curve)])
    policy.ask()
    values = np.sort(policy.training_data().y)
    np.testing.assert_allclose(values[1], 3.0 * values[0], rtol=1e-6)


def test_saturated_curves_can_be_left_out() -> None:
    problem = TOY.problem(100)
    sizes = {}
    for saturated in ("use", "exclude"):
        policy = fresh(dkl(saturated=saturated, seed_points=4), problem)
        for k in range(6):
            (proposal,) = policy.ask()
            outcome = TOY.measure(proposal)
            railed = np.zeros(len(TOY.waveform), bool)
            railed[20] = k % 2 == 0
            curve = replace(outcome.curve, saturated=railed)  # type: ignore[type-var]
            policy.tell([replace(outcome, curve=curve)])
        policy.ask()
        sizes[saturated] = len(policy.training_data().y)
    assert sizes == {"use": 6, "exclude": 3}


def test_maximum_uncertainty_hardly_looks_at_the_targets() -> None:
    """The published loop's first fault: with hyper-parameters held, other curves, same sites."""
    problem = TOY.problem(200)
    sites = []
    for gain in (1.0, -3.0):
        policy = fresh(dkl(seed_points=5, refit_growth=1e9), problem, 1)
        path = []
        for k in range(15):
            (proposal,) = policy.ask()
            outcome = TOY.measure(proposal)
            if k >= 5 and outcome.curve is not None:
                curve = replace(outcome.curve, current=gain * outcome.curve.current)
                outcome = replace(outcome, curve=curve)
            policy.tell([outcome])
            path.append(proposal.site)
        sites.append(path)
    assert sites[0][:6] == sites[1][:6]
    shared = len(set(sites[0]) & set(sites[1]))
    assert shared >= 10
