"""States of the microscope in the journal: one whole, then changes, and every one comes back bit for bit."""

import contextlib
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from samples import problem_on

from grainscout.benchmarks import MicroscopeSpec, Task, WaveformSpec, make_environment
from grainscout.journal import Header, Journal
from grainscout.journal.delta_log import DeltaLog
from grainscout.records import (
    DataError,
    JournalError,
    MicroscopeError,
    Outcome,
    Site,
    Waveform,
    pack,
    unpack,
)

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=3)
)
ARRAYS = arrays.arrays(
    st.sampled_from((np.float64, np.int64, np.bool_, np.uint8, np.float32)),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
LEAVES = SCALARS | ARRAYS | st.lists(SCALARS | ARRAYS, max_size=3)
KEYS = st.sampled_from(("a", "b", "value", "keys", "rows"))  # among them the words of a change
STATES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=4),
    lambda s: st.dictionaries(KEYS, LEAVES | s, max_size=4),
)


def grown(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The array with a row changed, and rows more."""
    array = array.copy()
    array[rng.integers(len(array))] = rng.normal()
    return np.concatenate([array, rng.normal(size=(rng.integers(3), *array.shape[1:]))])


@settings(max_examples=150, deadline=None)
@given(states=st.lists(STATES, min_size=1, max_size=5))
def test_a_reader_gets_each_state_bit_for_bit(states):
    log = DeltaLog()
    for state in states:
        log = log.after(*log.row(state))
        assert pack(log.state) == pack(state)


def test_nan_stays_nan_and_minus_zero_minus_zero():
    log = DeltaLog()
    before = {"a": np.array([0.0, np.nan, 1.0]), "b": 0.0, "c": 1, "d": True}
    after = {"a": np.array([-0.0, np.nan, 1.0]), "b": -0.0, "c": 1.0, "d": 1}
    for state in (before, before, after):
        log = log.after(*log.row(state))
        assert pack(log.state) == pack(state)


def test_a_state_that_is_changed_afterwards_is_not_changed_in_the_journal():
    live = np.arange(6.0).reshape(3, 2)
    log = DeltaLog()
    for value in (7.0, 8.0):
        live[1] = value
        log = log.after(*log.row({"live": live}))
        live[2] = -value
        assert log.state["live"][1, 0] == value
        assert log.state["live"][2, 0] != -value
    log = log.after(*log.row({"live": live}))
    assert pack(log.state) == pack({"live": live})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.gsj"


@pytest.fixture
def journal(path):
    problem = problem_on(np.zeros((4, 4)), waveform=Waveform.triangle())
    with Journal.create(path, Header(problem=problem, config={}, seed=1)) as made:
        yield made


def failed(number: int) -> Outcome:
    return Outcome(site=Site(0, 0), status="failed", message="x", proposal_id=str(number))


def test_each_outcome_s_state_is_read_back_by_whoever_goes_on(journal, path):
    rng = np.random.default_rng(2)
    state = {"clock": 0.0, "table": np.zeros((2, 3))}
    journal.record_microscope(state)
    for n in range(40):
        state = {"clock": float(n), "table": grown(state["table"], rng)}
        journal.record_outcome(n, failed(n), state)
        with Journal.read(path) as reader:
            batch, found = reader.checkpoint("microscope")
        assert (batch, pack(found)) == (n, pack(state))
        if n % 7 == 6:  # another process, which knows the file only
            journal.close()
            journal = Journal.open(path)
    journal.close()


def test_a_commit_that_fails_leaves_the_state_before_it(journal):
    journal.record_outcome(0, failed(0), {"table": np.zeros((2, 3))})
    with pytest.raises(JournalError, match="UNIQUE"):
        journal.record_outcome(0, failed(0), {"table": np.ones((3, 3))})
    journal.record_outcome(1, failed(1), {"table": np.full((2, 3), 5.0)})
    assert (journal.checkpoint("microscope")[1]["table"] == 5.0).all()


@pytest.mark.parametrize("missing", [0, 1])
def test_a_change_that_is_missing_is_noticed(journal, path, missing):
    for n in range(4):
        journal.record_outcome(n, failed(n), {"table": np.zeros((100 + n, 3))})
    journal.close()
    db = sqlite3.connect(path)
    db.execute("DELETE FROM microscope WHERE number = ?", (missing,))
    db.commit()
    db.close()
    with Journal.read(path) as reader, pytest.raises(JournalError, match=f"lack number {missing}"):
        reader.checkpoint("microscope")


FAR = {"rows": np.array([9]), "to": np.ones((1, 2)), "more": np.ones((0, 2))}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"keys": {"b": {"value": 1}}},
        {"keys": 1},
        {"value": 3},
        {"rows": 1},
        {"keys": {"a": FAR}},
    ],
    ids=repr,
)
def test_a_change_that_does_not_fit_is_an_error_of_ours(entry):
    log = DeltaLog()
    log = log.after(*log.row({"a": np.zeros((3, 2))}))
    with pytest.raises(DataError, match=r"a change of state must fit|a state must be"):
        log.after(1, pack(entry))


def test_the_simulated_microscope_s_state_grows_by_what_a_measurement_adds():
    task = Task(
        microscope=MicroscopeSpec(film="tiny", instrument="all-severe"),
        waveform=WaveformSpec(samples=17),
        curves=1,
    )
    environment = make_environment(task, 3)
    problem = environment.problem()
    log, sizes = DeltaLog(), []
    log = log.after(*log.row(environment.microscope.state()))
    rng = np.random.default_rng(4)
    for row, column in rng.permutation(problem.candidates)[:120].tolist():
        with contextlib.suppress(MicroscopeError):
            environment.microscope.measure(Site(row, column), problem.waveform)
        number, blob = log.row(environment.microscope.state())
        log = log.after(number, blob)
        assert pack(log.state) == pack(environment.microscope.state())
        if number:
            sizes.append(len(blob))
    assert max(sizes) < 2500
    assert unpack(pack(log.state))["microscope"]["instrument"]["path"].shape[1] == 8
