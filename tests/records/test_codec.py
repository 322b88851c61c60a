"""Records come back from their trees as they were, or not at all."""

import json

import numpy as np
import pytest
from samples import problem_on

from grainscout.records import (
    DataError,
    LinkError,
    Outcome,
    Scan,
    Site,
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


def test_metadata_for_which_json_has_no_word_come_back_as_text():
    when = {"gain": 3, "when": np.datetime64("2026-01-01")}
    scan = Scan(channels={"height": np.eye(3)}, pixel_size=(1e-9, 1e-9), metadata=when)
    again = problem_from(unpack(pack(problem_state(problem_on(scan)))))
    assert again.scan.metadata == {"gain": 3, "when": "2026-01-01"}


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
