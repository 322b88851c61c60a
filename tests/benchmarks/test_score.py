"""Scores: the two ends of each scale are what they claim to be."""

import numpy as np
import pandas as pd
import pytest

from grainscout.analysis.metrics import found_by_random, found_trace
from grainscout.benchmarks._leaderboard import boards, goal_scores, winner
from grainscout.benchmarks._score import (
    EXAMPLES,
    running_diversity,
    score_map,
    score_run,
)
from grainscout.benchmarks._tables import Tables
from grainscout.benchmarks._tasks import Task
from grainscout.benchmarks._truth import TaskTruth
from grainscout.records import Budget, IVCurve, Outcome, Problem, Scan, Site, Waveform


def test_random_expectation_is_what_random_sampling_gives():
    rng = np.random.default_rng(0)
    archetype = np.repeat(np.array([0, 1, 2, 3], np.uint8), [300, 60, 12, 28])
    wanted, steps, runs = (0, 1, 2), 80, 4000
    drawn = np.array([rng.permutation(archetype)[:steps] for _ in range(runs)]).astype(np.int64)
    found = np.array([found_trace(row, wanted, examples=EXAMPLES) for row in drawn])
    error = found.std(axis=0) / np.sqrt(runs)
    expected = found_by_random([300, 60, 12], steps, total=400, examples=EXAMPLES)
    assert (np.abs(found.mean(axis=0) - expected) < 4.5 * error + 1e-12).all()
    # When everything has been drawn, everything has been found.
    assert found_by_random([300, 60, 12], 400, total=400, examples=EXAMPLES)[-1] == pytest.approx(
        1.0
    )


def test_the_ideal_cannot_be_beaten_and_is_reached_by_who_knows():
    wanted = (0, 1, 2)
    knowing = np.array([0, 1, 2] * EXAMPLES + [3] * 5)
    ideal = np.minimum(np.arange(1, len(knowing) + 1) / (EXAMPLES * 3), 1.0)
    np.testing.assert_allclose(found_trace(knowing, wanted, examples=EXAMPLES), ideal)
    rng = np.random.default_rng(1)
    for _ in range(50):
        found = found_trace(rng.integers(-1, 4, len(knowing)), wanted, examples=EXAMPLES)
        assert (found <= ideal + 1e-12).all()


def test_failed_measurements_find_nothing():
    np.testing.assert_array_equal(
        found_trace(np.array([-1, -1, -1]), (0, 1), examples=EXAMPLES), 0.0
    )


def truth_of(target, mapped=None):
    n = len(target)
    return TaskTruth(
        target=target,
        unit="A",
        archetype=np.zeros(n, np.uint8),
        classes=("club",),
        wanted=(0,),
        mapped=np.ones(n, bool) if mapped is None else mapped,
    )


def test_map_scores_at_their_landmarks():
    rng = np.random.default_rng(2)
    target = rng.normal(3.0, 2.0, 20_000)
    constant = score_map(truth_of(target), np.full(20_000, 3.0), np.full(20_000, 2.0))
    assert constant["nrmse"] == pytest.approx(1.0, abs=0.02)
    assert constant["nll"] == pytest.approx(0.5 * np.log(2 * np.pi * np.e), abs=0.02)
    assert constant["coverage"] == pytest.approx(0.95, abs=0.005)
    exact = score_map(truth_of(target), target, np.full(20_000, 1e-3))
    assert exact["nrmse"] == 0.0
    assert exact["coverage"] == 1.0
    # The scale of the target is no merit: amperes and nanoamperes score alike.
    scaled = score_map(truth_of(1e-9 * target), np.full(20_000, 3e-9), np.full(20_000, 2e-9))
    assert scaled["nll"] == pytest.approx(constant["nll"])


def test_maps_are_scored_where_they_are_to_be():
    target = np.array([1.0, 2.0, np.nan, 900.0])
    found = score_map(
        truth_of(target, np.array([True, True, False, False])), np.array([1.0, 2, 3, 4]), np.ones(4)
    )
    assert found["nrmse"] == 0.0


def test_running_diversity_is_the_mean_pairwise_distance():
    rng = np.random.default_rng(3)
    wave = Waveform.triangle(samples=21)
    problem = Problem(
        scan=Scan(channels={"height": np.zeros((4, 4))}, pixel_size=(1e-9, 1e-9)),
        candidates=np.array([[0, 0]]),
        waveform=wave,
        budget=Budget(curves=9),
    )
    curves = rng.normal(size=(6, 21)) * 1e-9
    outcomes = [
        Outcome(
            site=Site(0, 0),
            status="ok",
            curve=IVCurve(voltage=wave.voltage, current=c, time=wave.time),
        )
        for c in curves
    ]
    outcomes.insert(3, Outcome(site=Site(0, 0), status="failed"))
    from scipy.spatial.distance import pdist

    rms = np.sqrt(np.mean(curves**2) * 21)
    expected = [0.0, *(pdist(curves[:k]).mean() / rms for k in range(2, 7))]
    expected.insert(3, expected[2])
    np.testing.assert_allclose(
        running_diversity(problem, outcomes), expected, rtol=1e-9, atol=1e-12
    )


def tables(found, error):
    """Tables of one step and one checkpoint a run, from (film, policy) -> value."""
    steps = [
        {"task": "t", "film": f, "policy": p, "found": v, "found_random": 0.4, "found_ideal": 0.9}
        for (f, p), v in found.items()
    ]
    maps = [{"task": "t", "film": f, "policy": p, "nrmse": v} for (f, p), v in error.items()]
    return Tables(steps=pd.DataFrame(steps), maps=pd.DataFrame(maps), timings=pd.DataFrame())


def test_zero_is_random_and_one_is_ideal():
    scores = goal_scores(
        tables(
            {(0, "random"): 0.4, (0, "best"): 0.9},
            {(0, "random"): 0.8, (0, "best"): 0.0},
        ),
        {"t": Task(id="t", curves=3)},
    ).set_index(["goal", "policy"])["score"]
    assert scores["discovery", "random"] == pytest.approx(0.0)
    assert scores["discovery", "best"] == pytest.approx(1.0)
    assert scores["mapping", "random"] == 0.0
    assert scores["mapping", "best"] == 1.0


def test_only_the_goals_of_a_task_count():
    given = tables({(0, "random"): 0.5}, {(0, "random"): 0.8})
    scores = goal_scores(given, {"t": Task(id="t", curves=3, goals=("mapping",))})
    assert set(scores["goal"]) == {"mapping"}


def test_a_clear_difference_is_decided_and_none_is_not():
    rng = np.random.default_rng(5)
    found, error = {}, {}
    for film in range(12):
        shared = rng.normal(0.5, 0.1)
        for name, gain in (("random", 0.0), ("same", 0.0), ("good", 0.2)):
            found[film, name] = shared + gain + rng.normal(0, 0.02)
            error[film, name] = 0.8 - gain + rng.normal(0, 0.02)
    result = boards(goal_scores(tables(found, error), {"t": Task(id="t", curves=3)}))
    for board in result:
        assert board.best == "good"
        assert board.rivals == []
        assert board.against_baseline["good"].outcome == "better"
        assert board.against_baseline["same"].outcome == "not decided"
    assert winner(result, {"random", "same", "good"}) == "good"
    assert winner(result, {"random", "same"}) in ("random", "same")  # "good" may be told the truth
    assert winner(result, set()) is None
    assert "better than every other" in result[0].verdict()


def test_a_film_that_one_policy_failed_on_is_compared_for_none():
    found = {(f, p): 0.5 + 0.1 * f for f in range(4) for p in ("random", "other")}
    del found[2, "other"]
    (board,) = boards(goal_scores(tables(found, {}), {"t": Task(id="t", curves=3)}))
    assert board.cells == 3


def test_a_tie_is_said_to_be_undecided():
    found = {(f, p): 0.5 + 0.01 * f for f in range(4) for p in ("random", "twin")}
    (board,) = boards(goal_scores(tables(found, {}), {"t": Task(id="t", curves=3)}))
    assert len(board.rivals) == 1
    assert "not decided" in board.verdict()


def test_points_by_hand_beyond_the_candidates_are_neither_right_nor_wrong():
    wave = Waveform.triangle(samples=21)
    problem = Problem(
        scan=Scan(channels={"height": np.zeros((4, 4))}, pixel_size=(1e-9, 1e-9)),
        candidates=np.array([[1, 1], [1, 2], [2, 1], [2, 2]]),
        waveform=wave,
        budget=Budget(curves=9),
    )
    curve = IVCurve(voltage=wave.voltage, current=1e-9 * wave.voltage, time=wave.time)
    outcomes = [
        Outcome(site=Site(*site), status="ok", curve=curve)
        for site in ((2, 1), (0, 0), (3, 3), (1, 3), (2, 2))
    ]
    steps = score_run(problem, truth_of(np.arange(4.0)), outcomes)
    np.testing.assert_array_equal(steps["class_index"], [0, -1, -1, -1, 0])
    assert steps["ok"].all()


def test_who_is_told_the_truth_is_ranked_but_never_the_verdict():
    rng = np.random.default_rng(7)
    found = {}
    for film in range(10):
        shared = rng.normal(0.5, 0.1)
        for name, gain in (("random", 0.0), ("good", 0.2), ("oracle", 0.4)):
            found[film, name] = shared + gain + rng.normal(0, 0.02)
    scores = goal_scores(tables(found, {}), {"t": Task(id="t", curves=3)})
    (board,) = boards(scores, told={"oracle"})
    assert board.ranked[0].name == "oracle"
    assert board.best == "good"
    assert board.rivals == []
    assert "good scores highest" in board.verdict()
