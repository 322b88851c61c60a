"""Structure and composition together: on a film whose composition varies along x."""

import numpy as np
import pytest
from samples import curve_of, fresh, problem_on

from grainscout.policies import make_policy
from grainscout.policies.conformance import ToySample
from grainscout.policies.strategies.conavigation import composition
from grainscout.records import ConfigError, DataError, Outcome, Scan, Site

TOY = ToySample()


def gradient_sample(along_columns: bool):
    """The toy sample, its currents doubled and redoubled from one side to the other."""
    problem = TOY.problem(400)
    rng = np.random.default_rng(3)
    at = problem.candidates[:, int(along_columns)]
    current = TOY.current(problem.candidates) * 2.0 ** ((at - 8) / 5.0)[:, None]
    truth = np.trapezoid(current, problem.waveform.voltage, axis=1)
    return problem, current + rng.normal(0, 2e-12, current.shape), abs(truth)


def error(name, options, along_columns=True):
    problem, current, _ = gradient_sample(along_columns)
    problem = problem_on(
        problem.scan, problem.candidates, waveform=problem.waveform, curves=60, target="max_current"
    )
    truth = current.max(1)
    policy = fresh(make_policy(name, options), problem)
    policy.tell(
        [
            Outcome(
                site=Site(*map(int, problem.candidates[k])),
                status="ok",
                curve=curve_of(problem.waveform, current[k]),
            )
            for k in np.random.default_rng(1).choice(400, 60, replace=False)
        ]
    )
    mean, _ = policy.predict()
    return float(np.sqrt(np.mean((mean - truth) ** 2)) / truth.std())


def test_where_composition_varies_it_maps_better_than_structure_or_position_alone():
    both = error("co-navigation", {})
    assert both < 0.9 * error("dkl", {})
    assert both < 0.8 * error("kriging", {})


def test_the_axis_matters():
    assert error("co-navigation", {"composition": "rows"}, along_columns=False) < error(
        "co-navigation", {"composition": "columns"}, along_columns=False
    )


def test_composition_is_a_coordinate_or_a_channel():
    cesium = np.random.default_rng(0).random((4, 6))
    channels = {"height": np.zeros((4, 6)), "cesium": 5.0 + cesium}
    scan = Scan(channels=channels, pixel_size=(1e-8, 1e-8))
    along = composition(scan, "columns").reshape(4, 6)
    assert (np.diff(along, axis=1) > 0).all()
    assert (np.diff(along, axis=0) == 0).all()
    assert (np.diff(composition(scan, "rows").reshape(4, 6), axis=1) == 0).all()
    assert np.corrcoef(composition(scan, "cesium"), cesium.ravel())[0, 1] == pytest.approx(1.0)
    assert (composition(scan, "height") == 0).all()


def test_an_unknown_channel_is_refused():
    policy = make_policy("co-navigation", {"composition": "caesium"})
    with pytest.raises((ConfigError, DataError), match="caesium"):
        policy.reset(TOY.problem(), rng=np.random.default_rng(0))
