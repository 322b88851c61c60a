"""What the page says first is what is so."""

import dataclasses
import re

import numpy as np
import pytest

from grainscout.journal import Journal
from grainscout.records import Budget, Outcome
from grainscout.records.curve import Quality
from grainscout.watch import Reader
from grainscout.watch.page_renderer import PageRenderer
from grainscout.watch.status import (
    alerts_of,
    duration,
    recent_quality,
    remaining_budget,
    spent_curves,
    state_of,
)


@pytest.fixture
def tell(finished, tmp_path):
    """A journal with the first `done` outcomes of the run and these events; the snapshot of it."""
    with Journal.read(finished) as journal:
        header, batches = journal.header(), journal.batches()

    def make(*events, done=3, claimed=True, more=(), budget=None):
        problem = header.problem
        if budget is not None:
            problem = dataclasses.replace(problem, budget=budget)
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.gsj"
        with Journal.create(path, dataclasses.replace(header, problem=problem)) as journal:
            for batch in batches[:done]:
                journal.record_batch(batch.number, batch.proposals, batch.decision_s)
                journal.record_outcome(batch.number, batch.outcomes[0])
            for outcome in more:
                journal.record_outcome(done, outcome)
            for kind, detail in events:
                journal.record_event(kind, 1.0, **detail)
            run = Reader(path).update()
        return dataclasses.replace(run, claimed=claimed)

    return make


START = ("start", {"wear": 0.0})
PAUSE = ("request", {"asked": "pause"})
GO_ON = ("request", {"asked": "resume"})


@pytest.mark.parametrize(
    ("events", "claimed", "name"),
    [
        ([], True, "starting"),
        ([START], True, "running"),
        ([START, PAUSE], True, "paused"),
        ([START, PAUSE, GO_ON], True, "running"),
        ([START, ("request", {"asked": "pause", "refused": "no"})], True, "running"),
        ([START, PAUSE, ("request", {"asked": "veto", "id": "1-0"})], True, "paused"),
        # A run that was killed in its pause and resumed measures again.
        ([START, PAUSE, ("resume", {"outcomes": 3})], True, "running"),
        ([START], False, "stopped"),
        ([START, PAUSE], False, "stopped"),
        ([START, ("end", {"reason": "budget: 14 curves"})], False, "finished"),
        ([START, ("end", {"reason": "aborted by hand"})], False, "aborted"),
        ([START, ("end", {"reason": "interrupted"})], False, "interrupted"),
        ([START, ("end", {"reason": "MicroscopeError: no answer"})], False, "failed"),
        ([START, ("end", {"reason": "interrupted"}), ("resume", {"outcomes": 3})], True, "running"),
    ],
)
def test_the_state_follows_the_last_events(tell, events, claimed, name):
    state = state_of(tell(*events, claimed=claimed))
    assert state.name == name
    assert state.going == (name in ("starting", "running", "paused"))


def test_an_unusual_silence_is_an_alert(tell):
    run = dataclasses.replace(tell(START), seen=1000.0, pace=2.0)
    state = state_of(run)
    assert alerts_of(run, state, 1059.0) == []
    assert "Nothing came for" in alerts_of(run, state, 1061.0)[0].text
    slow = dataclasses.replace(run, pace=60.0)
    assert alerts_of(slow, state, 1400.0) == []
    paused = dataclasses.replace(run, events=tell(START, PAUSE).events)
    assert alerts_of(paused, state_of(paused), 1061.0) == []


def test_failures_are_an_alert_with_the_last_message(tell):
    lost = [Outcome(site=(3, 4), status="failed", message=f"no contact {k}") for k in range(3)]
    run = tell(START, more=lost)
    (alert, *_) = alerts_of(run, state_of(run), run.seen)
    assert alert.text == "The last 3 measurements failed (the run stops at 10): no contact 2"
    assert alert.severity == "bad"


def test_a_series_of_insulating_curves_is_an_alert(tell):
    run = tell(START)
    club, silent = 0, 3
    kinds = np.array([club] * 12 + [silent] * 10, np.uint8)
    state = state_of(run)
    texts = [a.text for a in alerts_of(dataclasses.replace(run, archetype=kinds), state, run.seen)]
    assert any("still in contact" in text for text in texts)
    film = np.array([silent] * 22, np.uint8)  # it was never otherwise: that is the film
    assert alerts_of(dataclasses.replace(run, archetype=film), state, run.seen) == []


def verdicts(run, *unusable, judged=20):
    """The snapshot with the latest curves judged, these of them unusable."""
    sound = Quality(version=1)
    bad = [Quality(usable=False, reasons=reasons, version=1) for reasons in unusable]
    return dataclasses.replace(run, quality=[*bad, *[sound] * (judged - len(bad))])


def test_a_share_of_unusable_curves_is_a_warning_at_half_of_what_stops_the_run(tell):
    run = tell(START)
    state, lost = state_of(run), ("contact lost",)
    assert recent_quality(verdicts(run, lost)).unusable == 1
    assert alerts_of(verdicts(run, *[lost] * 9), state, run.seen) == []
    (alert,) = alerts_of(verdicts(run, *[lost] * 9, ("contact lost", "jump")), state, run.seen)
    assert alert.text == (
        "10 of the latest 20 curves are unusable: contact lost (10), jump (1). Look at the tip. The "
        "run stops at 19 of 20."
    )
    ended = tell(START, ("end", {"reason": "spoilt curves: 19 of the latest 20 are unusable"}))
    assert state_of(ended).severity == "bad"
    assert "error" not in state_of(ended).text
    assert recent_quality(verdicts(run, *[lost] * 25, judged=45)).unusable == 0


def test_curves_of_a_journal_without_verdicts_are_judged(tell, finished):
    run = tell(START)
    assert len(run.quality) == len(run.curve_of)
    assert all(q is not None for q in run.quality)
    with Journal.read(finished) as journal:
        first = journal.outcomes()[0]
    curve = dataclasses.replace(first.curve, current=np.full(len(first.curve), np.nan))
    spoilt = dataclasses.replace(first, curve=curve, quality=None, proposal_id=None)
    assert tell(START, more=[spoilt]).quality[-1].reasons == ("samples missing",)


def test_a_curve_that_is_taken_out_is_marked_although_it_was_read_before(tell, tmp_path):
    before = [q.usable for q in tell(START).quality]
    chosen = before.index(True)
    (path,) = tmp_path.iterdir()
    reader = Reader(path)
    reader.update()
    with Journal.open(path) as journal:
        journal.record_event("request", asked="retract", outcome=chosen, reason="drift", before=3)
    run = reader.update()
    after = [good and k != chosen for k, good in enumerate(before)]
    assert [q.usable for q in run.quality] == [o.usable for o in run.newest] == after
    assert run.quality[chosen].reasons == ("taken out by hand: drift",)
    assert Reader(path).update().quality == run.quality


def test_the_page_says_that_the_latest_curve_is_not_usable(tell):
    run = tell(START)
    renderer = PageRenderer(run, control=False)
    assert "not usable" not in renderer.page(run, run.seen).parts["budget"]
    bad = Quality(usable=False, reasons=("contact lost", "jump"), version=1)
    last = dataclasses.replace(run.newest[-1], quality=bad)
    run = dataclasses.replace(run, quality=[None, None, bad], newest=[*run.newest[:-1], last])
    page = renderer.page(run, run.seen)
    assert "1 of 1: contact lost (1), jump (1)" in page.parts["budget"]
    assert "not usable: contact lost, jump" in page.parts["curves"]
    assert "plot-values" in renderer.whole(page, run, "night")
    bad_only = dataclasses.replace(run, quality=[bad] * 3)
    assert "none known" in renderer.page(bad_only, run.seen).parts["values"]


def test_the_map_shows_the_region_that_is_excluded(tell):
    run = tell(START, ("request", {"asked": "exclude", "change": "0,0,15,20", "before": 3}))
    renderer = PageRenderer(run, control=False)
    drawn = renderer.page(run, run.seen).parts["sites"]
    gone = (sites := run.header.problem.candidates)[(sites <= (15, 20)).all(axis=1)]
    assert f"{len(gone)} candidates excluded" in drawn
    strips = re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)", drawn.split('"excluded"')[1])
    left, top, right, bottom = np.array(strips, float).T
    corners = renderer.base.places([gone.min(axis=0) - 0.5, gone.max(axis=0) + 0.5])
    (x, u), (y, v) = renderer.base.axes.at(*corners)
    drawn_at = left.min(), right.max(), top.min(), bottom.max()
    assert drawn_at == pytest.approx((x, u, y, v), abs=0.1)


def test_the_remaining_budget_is_the_one_that_ends_first(tell):
    run = dataclasses.replace(tell(START, budget=Budget(curves=12, seconds=1e6)), pace=2.0)
    left = remaining_budget(run)
    assert (left.text, left.share, left.seconds) == ("9 of 12 curves", 0.25, 18.0)
    run = tell(START, budget=Budget(curves=1000, seconds=2 * float(run.finished[-1])))
    assert remaining_budget(run).share == pytest.approx(0.5)
    assert "microscope's clock" in remaining_budget(run).text


def test_vetoed_and_attached_curves_cost_nothing(tell, finished):
    with Journal.read(finished) as journal:
        curve = journal.outcomes()[0].curve
    run = tell(
        START,
        more=[
            Outcome(site=(3, 4), status="aborted", message="vetoed by hand"),
            Outcome(site=(3, 5), status="ok", curve=curve, message="attached"),
            Outcome(site=(3, 6), status="failed", message="no contact"),
        ],
    )
    assert spent_curves(run) == 4


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.35, "0.35 s"), (48.2, "48 s"), (720, "12 min"), (11100, "3 h 05 min")]
)
def test_durations_have_a_readable_format(seconds, words):
    assert duration(seconds) == words
