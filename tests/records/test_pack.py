"""Packed states come back as they were, or not at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grainscout.records import DataError, pack, unpack

_arrays = hnp.arrays(
    st.sampled_from([np.bool_, np.uint8, np.int64, np.float32, np.float64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | _arrays
_keys = st.text(max_size=5).filter(lambda k: not k.startswith("__"))
_trees = st.dictionaries(
    _keys,
    st.recursive(
        _leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def exactly(value):
    """A tree in which equal is identical."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {k: exactly(v) for k, v in value.items()}
    return list(map(exactly, value)) if isinstance(value, list) else repr(value)


@given(_trees)
@settings(max_examples=60, deadline=None)
def test_round_trip_is_exact(tree):
    assert exactly(unpack(pack(tree))) == exactly(tree)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_byte_is_noticed(data):
    packed = pack({"curve": np.linspace(0, 1, 20), "n": 3, "name": "x"})
    at = data.draw(st.integers(0, len(packed) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged = packed[:at] + bytes([packed[at] ^ flip]) + packed[at + 1 :]
    with pytest.raises(DataError):
        unpack(damaged)
    with pytest.raises(DataError):
        unpack(packed[:at])


@pytest.mark.parametrize("value", [object(), {1: 2}, {"__array__": 1}, np.array(["text"]), b"raw"])
def test_what_cannot_be_stored_is_refused(value):
    with pytest.raises(TypeError, match="pack"):
        pack({"key": value})
