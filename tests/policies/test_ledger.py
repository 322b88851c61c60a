"""The bookkeeping: sites and curves are counted right, whatever comes in."""

from __future__ import annotations

import numpy as np
import pytest

from grainscout.policies.conformance.toy_sample import ToySample
from grainscout.policies.observations import Ledger
from grainscout.records import (
    Budget,
    IVCurve,
    Outcome,
    PolicyError,
    Problem,
    Proposal,
    Site,
    Waveform,
    pack,
    unpack,
)

TOY = ToySample()
PROBLEM = TOY.problem(40)


def site(index: int) -> Site:
    return Site(*map(int, PROBLEM.candidates[index]))


def outcome(index: int, name: str | None = None, *, visit: int = 0) -> Outcome:
    if name is None:
        return TOY.measure(site(index), visit=visit)
    return TOY.measure(Proposal(id=name, site=site(index)), visit=visit)


def test_the_index_map_inverts_the_candidates():
    assert (PROBLEM.index_of(PROBLEM.candidates) == np.arange(40)).all()
    assert PROBLEM.index_of([Site(0, 0)])[0] == -1


def test_every_candidate_is_open_pending_measured_or_failed():
    ledger = Ledger(PROBLEM)
    names = ledger.propose([3, 5, 7, 9])
    assert names == ["p0000", "p0001", "p0002", "p0003"]
    assert set(range(40)) - set(ledger.open()) == {3, 5, 7, 9}
    aborted = Outcome(site=site(9), status="aborted", proposal_id=names[3])
    failed = Outcome(site=site(5), status="failed", proposal_id=names[1])
    ledger.record([failed, outcome(3, names[0]), aborted])
    assert set(range(40)) - set(ledger.open()) == {3, 5, 7, 9}
    assert set(range(40)) - set(ledger.open(retries=1)) == {3, 7}
    assert set(range(40)) - set(ledger.open(revisits=1)) == {5, 7, 9}
    assert len(ledger) == 1
    assert ledger.pending.sum() == 1


def test_a_retry_is_given_as_often_as_asked_for():
    ledger = Ledger(PROBLEM)
    for k in range(3):
        assert 4 in ledger.open(retries=2)
        (name,) = ledger.propose([4])
        ledger.record([Outcome(site=site(4), status="failed", proposal_id=name)])
        assert ledger.failures[4] == k + 1
    assert 4 not in ledger.open(retries=2)


def test_an_outcome_told_twice_is_refused_and_nothing_is_booked():
    ledger = Ledger(PROBLEM)
    a, b = ledger.propose([1, 2])
    ledger.record([outcome(1, a)])
    for bad in ([outcome(2, b), outcome(1, a)], [outcome(2, b), outcome(2, b)]):
        with pytest.raises(PolicyError, match="each outcome once"):
            ledger.record(bad)
        assert len(ledger) == 1
        assert ledger.pending[2] == 1


def test_ids_of_others_are_foreign_points():
    ledger = Ledger(PROBLEM)
    ledger.propose([1])
    for name in ("p0007", "p00000", "q0", "p", "p-1", "p٣"):
        ledger.record([outcome(2, name)])
    assert len(ledger) == 6
    assert ledger.visits[2] == 6
    assert ledger.pending[1] == 1


def test_a_measurement_beside_its_proposal_frees_the_proposed_site():
    ledger = Ledger(PROBLEM)
    (name,) = ledger.propose([1])
    ledger.record([outcome(2, name)])
    assert 1 in ledger.open()
    assert 2 not in ledger.open()


def test_the_archive_does_not_depend_on_the_order_of_tell():
    one, two = Ledger(PROBLEM), Ledger(PROBLEM)
    outcomes = [outcome(k, visit=v) for v in (0, 1) for k in (9, 2, 5)]
    one.record(outcomes)
    for o in outcomes[::-1]:
        two.record([o])
    for a, b in zip(vars(one.archive).values(), vars(two.archive).values(), strict=True):
        assert (a == b).all()
    assert (np.diff(one.archive.index) >= 0).all()
    # What comes after a later ask is appended: an updated model keeps its beginning.
    one.propose([0])
    one.record([outcome(0)])
    assert one.archive.index[-1] == 0


def test_points_off_the_candidates_are_kept_and_off_the_scan_refused():
    ledger = Ledger(PROBLEM)
    off = next(Site(0, c) for c in range(36))
    ledger.record([TOY.measure(off)])
    assert ledger.archive.index.tolist() == [-1]
    assert ledger.archive.sites.tolist() == [[0, 0]]
    assert ledger.open().size == 40
    curve = outcome(0).curve
    for out in (Site(-1, 0), Site(0, 36)):
        with pytest.raises(PolicyError, match=r"must lie on the \(36, 36\) scan"):
            ledger.record([Outcome(site=out, status="ok", curve=curve)])


@pytest.mark.parametrize("waveform", [Waveform.triangle(1.5, 43), Waveform.triangle(1.4, 41)])
def test_a_curve_on_another_voltage_axis_is_refused(waveform):
    zero = np.zeros(len(waveform))
    curve = IVCurve(voltage=waveform.voltage, current=zero, time=waveform.time)
    with pytest.raises(PolicyError, match="voltage axis"):
        Ledger(PROBLEM).record([Outcome(site=site(0), status="ok", curve=curve)])


def test_repeated_candidates_are_refused():
    problem = Problem(
        scan=PROBLEM.scan,
        candidates=PROBLEM.candidates[[0, 1, 1]],
        waveform=PROBLEM.waveform,
        budget=Budget(curves=1),
    )
    with pytest.raises(PolicyError, match="1 are repeats"):
        Ledger(problem)


def test_a_restored_ledger_knows_the_same():
    one = Ledger(PROBLEM)
    names = one.propose([3, 8, 1])
    one.record([outcome(8, names[1]), outcome(20), TOY.measure(Site(0, 0))])
    one.record([Outcome(site=site(3), status="failed", proposal_id=names[0])])
    two = Ledger(PROBLEM)
    two.propose([0])
    two.restore(unpack(pack(one.state())))
    for a, b in zip(vars(one.archive).values(), vars(two.archive).values(), strict=True):
        assert (a == b).all()
    for name in ("visits", "failures", "pending"):
        assert (getattr(one, name) == getattr(two, name)).all()
    assert two.propose([5]) == ["p0003"]
    with pytest.raises(PolicyError, match="p0001 was told before"):
        two.record([outcome(8, names[1])])
