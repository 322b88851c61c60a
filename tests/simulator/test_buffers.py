"""Tables that are asked for after every measurement are the plain ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from grainscout.simulator.instrument.buffers import AppendBuffer, PixelTable

_NUMBER = st.floats(allow_nan=False)
_PIXEL = st.tuples(st.integers(0, 3), st.integers(0, 3))


@given(st.lists(st.tuples(_PIXEL, _NUMBER, _NUMBER), max_size=80))
def test_values_by_pixel_are_a_dictionary(puts):
    table, plain = PixelTable(2), {}
    for pixel, a, b in puts:
        assert table.get(pixel) == plain.get(pixel)
        table.put(pixel, a, b)
        plain[pixel] = [a, b]
    rows = [[*pixel, *values] for pixel, values in plain.items()]
    expected = np.array(rows, float).reshape(-1, 4)
    np.testing.assert_array_equal(table.table, expected)
    again = PixelTable(2, table=table.table)
    for pixel in plain:
        assert again.get(pixel) == plain[pixel]
    again.put((3, 3), 1.0, 2.0)
    assert len(again.table) == len({*plain, (3, 3)})


def test_a_table_that_was_given_does_not_change():
    table = PixelTable(1)
    table.put((0, 1), 5.0)
    given_before = table.table
    table.put((0, 1), 6.0)
    assert given_before.tolist() == [[0, 1, 5.0]]
    assert table.table.tolist() == [[0, 1, 6.0]]


@given(st.lists(st.integers(0, 90), max_size=12))
def test_rows_are_added_at_the_end(sizes):
    log, plain = AppendBuffer(2), np.empty((0, 2))
    for k, size in enumerate(sizes):
        more = np.full((size, 2), float(k))
        earlier = log.rows.copy(), log.rows
        log.add(more)
        plain = np.concatenate([plain, more])
        np.testing.assert_array_equal(*earlier)
        np.testing.assert_array_equal(log.rows, plain)
