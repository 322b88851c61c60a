"""Records come back from their trees as they were, or not at all."""

import json

import numpy as np
import pytest

from grainscout.records import (
    Budget,
    DataError,
    LinkError,
    Outcome,
    Problem,
    Scan,
    Site,
    Waveform,
    pack,
    spawn_streams,
    unpack,
)
from grainscout.records.encoding.codec import (
    generator_from,
    generator_state,
    outcome_from,
    outcome_state,
    problem_from,
    problem_state,
    understood,
)
from grainscout.records.encoding.packing import flatten, restore

WAVE = Waveform.triangle(1.2, 21, 0.5)


def test_a_problem_comes_back_to_the_same_bytes():
    problem = Problem(
        scan=Scan(
            channels={"height": np.arange(12.0).reshape(3, 4)},
            pixel_size=(2e-9, 3e-9),
            origin=(1e-6, -2e-6),
            angle=0.3,
            units={"height": "m"},
            metadata={"gain": 3, "when": np.datetime64("2026-01-01")},
        ),
        candidates=np.array([[1, 2], [2, 3]]),
        waveform=WAVE,
        budget=Budget(curves=3, seconds=90.0),
        light=1,
        target="turn_on",
    )
    packed = pack(problem_state(problem))
    again = problem_from(unpack(packed))
    assert pack(problem_state(again)) == packed
    assert again.scan.metadata == {"gain": 3, "when": "2026-01-01"}
    assert again.scan.position(Site(1, 1)) == problem.scan.position(Site(1, 1))


def test_a_generator_draws_what_the_stored_one_would_have_drawn():
    rng = spawn_streams(3).policy_rng()
    rng.standard_normal(5)
    again = generator_from(unpack(pack(generator_state(rng))))
    assert again.standard_normal() == rng.standard_normal()
    with pytest.raises(TypeError, match="PCG64"):
        generator_state(np.random.Generator(np.random.MT19937(0)))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"site": [1.5, 2]}, LinkError),
        ({"site": [True, 2]}, DataError),
        ({"status": "ok"}, DataError),
        ({"curve": 3}, DataError),
        ({"more": 1}, LinkError),
    ],
)
def test_a_tree_without_sense_is_an_error_of_ours(change, error):
    state = outcome_state(Outcome(site=Site(1, 2), status="failed")) | change
    with (
        pytest.raises(error, match="an outcome cannot be understood"),
        understood("an outcome", error),
    ):
        outcome_from(state)


def test_a_flat_tree_is_json_and_its_arrays_are_in_order():
    tree = {"a": [np.arange(3), {"b": np.zeros(2, bool)}], "c": float("-inf")}
    plain, arrays = flatten(tree)
    assert json.loads(json.dumps(plain)) == {
        "a": [{"__array__": ["int64", [3]]}, {"b": {"__array__": ["bool", [2]]}}],
        "c": {"__float__": "-inf"},
    }
    frames = iter([a.tobytes() for a in arrays])
    again = restore(plain, lambda _: next(frames))
    assert again["a"][0].tolist() == [0, 1, 2]
    assert again["c"] == float("-inf")
