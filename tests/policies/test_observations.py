"""The bookkeeping: sites and curves are counted right, whatever comes in."""

import dataclasses

import numpy as np
import pytest
from samples import curve_of

from grainscout.policies.conformance import ToySample
from grainscout.policies.observations import ObservationHistory
from grainscout.records import Outcome, PolicyError, Proposal, Site, Waveform
from grainscout.records.curve import Quality

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
    history = ObservationHistory(PROBLEM)
    names = history.propose([3, 5, 7, 9])
    assert names == ["p0000", "p0001", "p0002", "p0003"]
    assert set(range(40)) - set(history.available()) == {3, 5, 7, 9}
    aborted = Outcome(site=site(9), status="aborted", proposal_id=names[3])
    failed = Outcome(site=site(5), status="failed", proposal_id=names[1])
    history.record([failed, outcome(3, names[0]), aborted])
    assert set(range(40)) - set(history.available()) == {3, 5, 7, 9}
    assert set(range(40)) - set(history.open(retries=1)) == {3, 7}
    assert set(range(40)) - set(history.open(revisits=1)) == {5, 7, 9}
    assert len(history) == 1
    assert history.pending.sum() == 1


def test_an_outcome_given_twice_is_refused_and_nothing_is_recorded():
    history = ObservationHistory(PROBLEM)
    a, b = history.propose([1, 2])
    history.record([outcome(1, a)])
    for bad in ([outcome(2, b), outcome(1, a)], [outcome(2, b), outcome(2, b)]):
        with pytest.raises(PolicyError, match="each outcome once"):
            history.record(bad)
        assert len(history) == 1
        assert history.pending[2] == 1


def test_ids_of_others_are_foreign_points():
    history = ObservationHistory(PROBLEM)
    history.propose([1])
    for name in ("p0007", "p00000", "q0", "p", "p-1", "p٣"):
        history.record([outcome(2, name)])
    assert len(history) == 6
    assert history.visits[2] == 6
    assert history.pending[1] == 1


def test_a_measurement_beside_its_proposal_frees_the_proposed_site():
    history = ObservationHistory(PROBLEM)
    (name,) = history.propose([1])
    history.record([outcome(2, name)])
    assert 1 in history.available()
    assert 2 not in history.available()


def test_points_off_the_candidates_are_kept_and_off_the_scan_refused():
    history = ObservationHistory(PROBLEM)
    off = next(Site(0, c) for c in range(36))
    history.record([TOY.measure(off)])
    assert history.observations.index.tolist() == [-1]
    assert history.observations.sites.tolist() == [[0, 0]]
    assert history.available().size == 40
    curve = outcome(0).curve
    for out in (Site(-1, 0), Site(0, 36)):
        with pytest.raises(PolicyError, match=r"must lie on the \(36, 36\) scan"):
            history.record([Outcome(site=out, status="ok", curve=curve)])


@pytest.mark.parametrize("waveform", [Waveform.triangle(1.5, 43), Waveform.triangle(1.4, 41)])
def test_a_curve_on_another_voltage_axis_is_refused(waveform):
    zero = np.zeros(len(waveform))
    curve = curve_of(waveform, zero)
    with pytest.raises(PolicyError, match="voltage axis"):
        ObservationHistory(PROBLEM).record([Outcome(site=site(0), status="ok", curve=curve)])


def test_repeated_candidates_are_refused():
    problem = dataclasses.replace(PROBLEM, candidates=PROBLEM.candidates[[0, 1, 1]])
    with pytest.raises(PolicyError, match="1 are repeats"):
        ObservationHistory(problem)


def test_an_unusable_curve_is_a_visit_and_no_observation():
    history = ObservationHistory(PROBLEM)
    good, bad = outcome(0), outcome(1)
    bad = dataclasses.replace(bad, quality=Quality(usable=False, reasons=("contact lost",)))
    history.record([good, bad])
    assert history.visits[:2].tolist() == [1, 1]
    assert len(history) == len(history.observations) == 1
    assert history.observations.index.tolist() == [0]
