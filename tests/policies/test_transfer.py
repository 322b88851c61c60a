"""What one run has learnt, on the next film."""

import numpy as np
import pytest
from samples import fresh

from grainscout.policies import make_policy, require_conforming
from grainscout.policies.conformance import ToySample
from grainscout.policies.strategies.transfer import TransferData, transfer
from grainscout.records import ConfigError, DataError, PolicyError, Scan, Site

FIRST, SECOND = ToySample(seed=11), ToySample(seed=12)


def measured(toy, count, seed=0):
    problem = toy.problem(400)
    chosen = np.random.default_rng(seed).choice(400, count, replace=False)
    return problem, [toy.measure(Site(*map(int, problem.candidates[k]))) for k in chosen]


def error(name, options, count):
    problem, outcomes = measured(SECOND, count, seed=5)
    policy = fresh(make_policy(name, options), problem)
    policy.tell(outcomes)
    from grainscout.analysis.curves.descriptors import describe

    truth = describe(problem.target, problem.waveform.voltage, SECOND.current(problem.candidates))
    return float(np.sqrt(np.mean((policy.predict()[0] - truth.value) ** 2)) / truth.value.std())


OPTIONS = transfer(*measured(FIRST, 80))


def test_a_second_film_is_mapped_better_with_the_first_ones_curves():
    for count in (3, 10, 30):
        alone = error("dkl", {"features": "jets"}, count)
        assert error("transfer-dkl", OPTIONS, count) < 0.95 * alone


def test_a_large_difference_makes_the_first_film_useless():
    # With nothing of use to transfer, what is left is about what the curves here give by themselves.
    far = error("transfer-dkl", {**OPTIONS, "difference": 30.0}, 30)
    assert far > 1.1 * error("transfer-dkl", OPTIONS, 30)


def test_it_keeps_the_protocol_with_and_without_a_source():
    require_conforming(lambda: make_policy("transfer-dkl", OPTIONS))
    require_conforming(lambda: make_policy("transfer-dkl", {"seed_points": 3}))


def test_the_same_relief_gives_the_same_features_whatever_surrounds_it():
    height = FIRST.problem(4).scan.height
    wide = Scan(channels={"height": np.tile(height, (1, 3))}, pixel_size=(2e-8, 2e-8))
    rough = wide.height.copy()
    rough[:, 80:] *= 5.0
    changed = Scan(channels={"height": rough}, pixel_size=(2e-8, 2e-8))
    a, b = (OPTIONS["source"].on(s).reshape(36, 108, -1)[:, :30, :15] for s in (wide, changed))
    np.testing.assert_allclose(a, b, atol=5e-3)


def test_outcomes_a_state_and_a_file_are_the_same_knowledge(tmp_path):
    problem, outcomes = measured(FIRST, 12)
    policy = fresh(make_policy("random", {}), problem)
    policy.tell(outcomes)
    told = transfer(problem, outcomes)["source"]
    stored = transfer(problem, policy.state())["source"]
    told.save(tmp_path / "first.knowledge")
    read = make_policy(
        "transfer-dkl", {"source": str(tmp_path / "first.knowledge")}
    ).features.source
    assert repr(told) == repr(stored) == repr(read)
    assert "12 curves" in repr(told)


def test_misuse_is_named(tmp_path):
    problem, _ = measured(FIRST, 5)
    with pytest.raises(PolicyError, match="at least one curve"):
        transfer(problem, [])
    policy = fresh(make_policy("random", {}), problem)
    with pytest.raises(PolicyError, match="the problem that the state came from"):
        transfer(SECOND.problem(9), policy.state())
    other = make_policy("transfer-dkl", {**OPTIONS, "target": "max_current"})
    with pytest.raises(ConfigError, match="max_current"):
        other.reset(problem, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="readable file"):
        TransferData.load(tmp_path / "none")
    with pytest.raises(ConfigError, match="source must be"):
        make_policy("transfer-dkl", {"source": 3})
