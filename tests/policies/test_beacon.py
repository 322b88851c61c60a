"""BEACON: distances to the nearest outcomes, and a range of outcomes that grows faster."""

import numpy as np
import pytest
from samples import curve_of, fresh, problem_on
from scipy.ndimage import gaussian_filter

from grainscout.policies import make_policy
from grainscout.policies.conformance import ToySample
from grainscout.policies.strategies.beacon import novelty
from grainscout.records import ConfigError, Outcome, Problem

TOY = ToySample(seed=2)
PROBLEM = TOY.problem(400)
OUTCOMES = ("loop_area", "log_max_current")


def test_novelty_is_the_sum_of_the_nearest_distances():
    rng = np.random.default_rng(0)
    sampled, known = rng.normal(size=(30, 3)), rng.normal(size=(12, 3))
    for k in (1, 5, 12, 40):
        away = [sorted(float(np.linalg.norm(s - a)) for a in known) for s in sampled]
        expected = [sum(distances[: min(k, 12)]) for distances in away]
        np.testing.assert_allclose(novelty(sampled, known, k), expected, rtol=1e-12)


def test_novelty_does_not_depend_on_the_unit_of_an_outcome():
    # Outcomes are scaled by their spread, so a current in A and a loop area in A V count alike.
    policy = fresh(make_policy("beacon", {"outcomes": ", ".join(OUTCOMES)}), PROBLEM)
    for _ in range(13):
        policy.tell([TOY.measure(p) for p in policy.ask(1)])
    (proposal,) = policy.ask(1)
    # Ten nearest of thirteen points in two standardised dimensions: of the order of ten.
    assert 1.0 < proposal.scores["beacon"] < 300.0


def rare(seed: int) -> tuple[Problem, np.ndarray]:
    """A relief whose currents grow exponentially with height, so that high ones are rare [A]."""
    relief = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64)), 4, mode="wrap")
    relief = (relief - relief.mean()) / relief.std()
    sites = np.stack(np.indices((24, 24)), -1).reshape(-1, 2) * 2 + 8
    problem = problem_on(
        1e-8 * relief,
        sites,
        waveform=TOY.waveform,
        curves=40,
        step=(2e-8, 2e-8),
        target="max_current",
    )
    return problem, 1e-9 * np.exp(1.2 * relief[sites[:, 0], sites[:, 1]])


def reach(name: str, options: dict[str, str], seed: int) -> float:
    """Share of the 20 cells of the range of currents, as far as it is reachable, in 35 curves."""
    problem, current = rare(seed)
    policy = fresh(make_policy(name, options), problem, seed)
    cell = np.floor(19.999 * (current - current.min()) / np.ptp(current)).astype(int)
    index = {tuple(s): i for i, s in enumerate(problem.candidates.tolist())}
    wave, found = TOY.waveform, set()
    for _ in range(35):
        for p in policy.ask(1):
            i = index[tuple(p.site)]
            found.add(int(cell[i]))
            noise = np.random.default_rng([seed, i]).normal(0.0, 2e-12, len(wave))
            curve = curve_of(wave, current[i] * wave.voltage / 1.5 + noise)
            policy.tell([Outcome(site=p.site, status="ok", curve=curve, proposal_id=p.id)])
    return len(found) / len(set(cell.tolist()))


def test_the_range_of_outcomes_grows_faster_than_at_random():
    options = {"beacon": {"outcomes": "max_current"}, "random": {}}
    beacon, at_random = (
        np.array([reach(name, chosen, seed) for seed in range(5)])
        for name, chosen in options.items()
    )
    assert beacon.mean() > 1.3 * at_random.mean()
    assert (beacon > at_random).sum() >= 4


def test_an_unknown_outcome_is_named_at_reset():
    policy = make_policy("beacon", {"outcomes": "loop_area, lop_area"})
    with pytest.raises(ConfigError, match="lop_area"):
        policy.reset(PROBLEM, rng=np.random.default_rng(0))
