"""Scores: the two ends of each scale are what they claim to be."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from samples import curve_of, problem_on

from grainscout.analysis.metrics import (
    best_by_random,
    draws_until_all,
    found_by_random,
    found_trace,
)
from grainscout.benchmarks.campaign.campaign import BASELINE
from grainscout.benchmarks.campaign.leaderboard import goal_rankings, goal_scores, winner
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.tasks.referee import evaluation_map
from grainscout.benchmarks.tasks.score import EXAMPLES, score_map, score_run
from grainscout.benchmarks.tasks.task import Task
from grainscout.benchmarks.tasks.truth import TaskTruth, recording_truth
from grainscout.records import ConfigError, DataError, Outcome, Recording, Scan, Site, Waveform


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
    whole = found_by_random([300, 60, 12], 400, total=400, examples=EXAMPLES)
    assert whole[-1] == pytest.approx(1.0)


def test_the_expected_largest_of_random_draws_is_that_of_all_draws():
    values = np.array([3.0, -1.0, 3.0, 7.5, 0.0, 2.0])
    every = [np.mean([max(c) for c in combinations(values, t)]) for t in range(1, 7)]
    assert_allclose(best_by_random(values, 9), [*every, 7.5, 7.5, 7.5], rtol=1e-12)
    with pytest.raises(DataError, match="finite"):
        best_by_random([1.0, np.nan], 2)


def test_the_expected_draws_until_every_kind_is_met_are_those_of_all_orders():
    kinds = (0, 0, 0, 1, 1, 2, 3)  # the last is not wanted
    met = [max(order.index(k) for k in (0, 1, 2)) + 1 for order in set(permutations(kinds))]
    assert draws_until_all([3, 2, 1], 7) == pytest.approx(np.mean(met))
    assert draws_until_all([1], 9) == 5.0
    with pytest.raises(DataError, match="at least 1"):
        draws_until_all([3, 0], 9)


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


def tables(found, error):
    """Tables of one step and one checkpoint a run, from (film, policy) -> value."""
    steps = [
        {"task": "t", "film": f, "policy": p, "found": v, "found_random": 0.4, "found_ideal": 1.2}
        for (f, p), v in found.items()
    ]
    maps = [{"task": "t", "film": f, "policy": p, "nrmse": v} for (f, p), v in error.items()]
    return Tables(steps=pd.DataFrame(steps), maps=pd.DataFrame(maps), timings=pd.DataFrame())


def test_zero_is_random_and_one_is_ideal():
    scores = goal_scores(
        tables({(0, "random"): 0.4, (0, "best"): 1.2}, {(0, "random"): 0.8, (0, "best"): 0.0}),
        {"t": Task(id="t", curves=3)},
    ).set_index(["goal", "policy"])["score"]
    assert scores["discovery", "random"] == pytest.approx(0.0)
    assert scores["discovery", "best"] == pytest.approx(1.0)
    assert scores["mapping", "random"] == 0.0
    assert scores["mapping", "best"] == 1.0


@pytest.mark.parametrize(("found", "score"), [(0.2, -0.25), (0.4, 0.0), (0.8, 0.5)])
def test_a_discovery_score_is_linear_between_its_bounds(found, score):
    scores = goal_scores(tables({(0, "random"): found}, {}), {"t": Task(id="t", curves=3)})
    assert scores["score"].tolist() == pytest.approx([score])


def test_where_kinds_are_common_a_bad_run_counts_no_less_than_minus_one():
    given = tables({(0, "random"): 0.2}, {})
    given.steps["found_random"] = 1.0
    assert goal_scores(given, {"t": Task(id="t", curves=3)})["score"].tolist() == [-1.0]


def test_more_than_the_ideal_is_refused():
    with pytest.raises(DataError, match="found must not exceed the ideal; it does for t, 0, cheat"):
        goal_scores(tables({(0, "cheat"): 1.3}, {}), {"t": Task(id="t", curves=3)})


def test_a_page_has_one_family_and_its_headline_and_column_say_the_same():
    rng = np.random.default_rng(4)
    found, error = {}, {}
    for film, name in ((f, n) for f in range(6) for n in ("random", "grid", "a", "b", "c")):
        gain = {"grid": 0.1, "a": 0.02}.get(name, 0.0)
        found[film, name] = 0.5 + gain + rng.normal(0, 0.05)
        error[film, name] = 0.8 - gain + rng.normal(0, 0.05)
    boards = goal_rankings(goal_scores(tables(found, error), {"t": Task(id="t", curves=3)}))
    every = [v for board in boards for v in board.pairs]
    assert len(every) == 20
    for board in boards:
        for v in board.pairs:  # by Holm over the 20, and not over fewer
            least = (
                20 * v.difference.p_value if v.p_adjusted == min(w.p_adjusted for w in every) else 0
            )
            assert v.p_adjusted >= min(1.0, least)
            decided = not v.difference.low <= 0 <= v.difference.high
            assert decided == (v.outcome != "not decided") == (v.p_adjusted < 0.05)
        against = board.against_baseline[board.best]
        assert (BASELINE in board.undecided_against) == (against.outcome == "not decided")


def test_a_clear_difference_is_decided_and_none_is_not():
    rng = np.random.default_rng(5)
    found, error = {}, {}
    for film in range(12):
        shared = rng.normal(0.5, 0.1)
        for name, gain in (("random", 0.0), ("same", 0.0), ("good", 0.2)):
            found[film, name] = shared + gain + rng.normal(0, 0.02)
            error[film, name] = 0.8 - gain + rng.normal(0, 0.02)
    result = goal_rankings(goal_scores(tables(found, error), {"t": Task(id="t", curves=3)}))
    for board in result:
        assert board.best == "good"
        assert board.undecided_against == []
        assert board.against_baseline["good"].outcome == "better"
        assert board.against_baseline["same"].outcome == "not decided"
    assert winner(result, {"random", "same", "good"}) == "good"
    assert winner(result, {"random", "same"}) in ("random", "same")  # "good" may be told the truth
    assert winner(result, set()) is None
    assert "better than every other" in result[0].verdict()


def test_much_gained_for_one_goal_outweighs_a_little_lost_for_the_other():
    rng = np.random.default_rng(6)
    found, error = {}, {}
    for film in range(12):
        shared = rng.normal(0.4, 0.1)
        for k, name in enumerate(("random", "a", "b", "c", "finder")):
            gain = 0.4 if name == "finder" else 0.02 * k
            found[film, name] = shared + gain + rng.normal(0, 0.002)
            worse = 0.02 if name == "finder" else -0.005 * k
            error[film, name] = 0.8 + worse + rng.normal(0, 0.0005)
    result = goal_rankings(goal_scores(tables(found, error), {"t": Task(id="t", curves=3)}))
    assert {b.goal: b.best for b in result} == {"discovery": "finder", "mapping": "c"}
    assert winner(result, {"random", "a", "b", "c", "finder"}) == "finder"


def test_a_film_that_one_policy_failed_on_is_compared_for_none():
    found = {(f, p): 0.5 + 0.1 * f for f in range(4) for p in ("random", "other")}
    del found[2, "other"]
    (board,) = goal_rankings(goal_scores(tables(found, {}), {"t": Task(id="t", curves=3)}))
    assert board.films == 3


def test_a_tie_is_told_as_too_close():
    found = {(f, p): 0.5 + 0.01 * f for f in range(4) for p in ("random", "twin")}
    (board,) = goal_rankings(goal_scores(tables(found, {}), {"t": Task(id="t", curves=3)}))
    assert "over 200 films a task: take the cheaper one" in board.verdict()


def test_points_by_hand_beyond_the_candidates_are_neither_right_nor_wrong():
    wave = Waveform.triangle(samples=21)
    problem = problem_on(
        np.zeros((4, 4)),
        np.array([[1, 1], [1, 2], [2, 1], [2, 2]]),
        waveform=wave,
        step=(1e-9, 1e-9),
    )
    curve = curve_of(wave, 1e-9 * wave.voltage)
    outcomes = [
        Outcome(site=Site(*site), status="ok", curve=curve)
        for site in ((2, 1), (0, 0), (3, 3), (1, 3), (2, 2))
    ]
    steps = score_run(problem, truth_of(np.arange(4.0)), outcomes)
    assert_array_equal(steps["class_index"], [0, -1, -1, -1, 0])
    assert steps["ok"].all()


def test_who_knows_the_truth_is_ranked_but_never_the_verdict():
    rng = np.random.default_rng(7)
    found = {}
    for film in range(10):
        shared = rng.normal(0.5, 0.1)
        for name, gain in (("random", 0.0), ("good", 0.2), ("oracle", 0.4)):
            found[film, name] = shared + gain + rng.normal(0, 0.02)
    scores = goal_scores(tables(found, {}), {"t": Task(id="t", curves=3)})
    (board,) = goal_rankings(scores, oracles={"oracle"})
    assert board.ranked[0].name == "oracle"
    assert board.best == "good"
    assert board.undecided_against == []
    assert "good scores highest" in board.verdict()


WAVE = Waveform.triangle(samples=21)


def outcomes_at(sites, failed=()):
    curve = curve_of(WAVE, 1e-9 * WAVE.voltage)
    return [
        Outcome(site=Site(*s), status="failed")
        if k in failed
        else Outcome(site=Site(*s), status="ok", curve=curve)
        for k, s in enumerate(sites)
    ]


def line(n):
    """A problem whose n candidates are the pixels of one row."""
    return problem_on(
        np.zeros((1, n)),
        np.column_stack([np.zeros(n, int), np.arange(n)]),
        waveform=WAVE,
        step=(1e-9, 1e-9),
    )


def run_of(order, target, failed=()):
    """Table of one run that measures the candidates in this order."""
    sites = [(0, int(k)) for k in order]
    steps = score_run(line(len(target)), truth_of(target), outcomes_at(sites, failed))
    return {k: steps[k] for k in ("found", "found_random", "found_ideal", "best", "best_random")}


def optimisation(runs, **task):
    """policy -> score, from policy -> table of a run."""
    frames = [pd.DataFrame(r).assign(task="t", film=0, policy=p) for p, r in runs.items()]
    given = Tables(steps=pd.concat(frames), maps=pd.DataFrame(), timings=pd.DataFrame())
    task = Task(id="t", **{"curves": 9, "goals": ("optimisation",), **task})
    scores = goal_scores(given, {"t": task})
    assert set(scores["goal"]) == {"optimisation"}
    return scores.set_index("policy")["score"]


def test_random_sampling_optimises_to_zero_and_the_oracle_to_one():
    rng = np.random.default_rng(11)
    target = np.append(rng.gamma(2.0, 3.0, 39), np.nan)  # one spot has no value
    runs = {str(k): run_of(rng.permutation(40)[:9], target) for k in range(300)}
    runs["oracle"] = run_of(np.argsort(-np.nan_to_num(target))[:9], target)
    scores = optimisation(runs)
    assert scores.pop("oracle") == 1.0
    assert abs(scores.mean()) < 4.5 * scores.std() / np.sqrt(len(scores))
    assert scores.max() <= 1.0


def test_the_unit_and_zero_of_a_target_are_no_merit():
    target = np.array([4.0, 9.0, 1.0, 7.0, 3.0])
    one, other = run_of([2, 3, 1], target), run_of([2, 3, 1], 1e-9 * target - 5.0)
    assert_allclose(one["best"], [0.0, 0.75, 1.0])
    assert_allclose(other["best"], one["best"], atol=1e-6)
    assert_allclose(other["best_random"], one["best_random"], atol=1e-6)


def test_what_failed_or_has_no_value_is_not_in_hand():
    target = np.array([4.0, 9.0, np.nan, 7.0, 1.0])
    found = run_of([1, 2, 3, 1], target, failed={0})
    assert_allclose(found["best"], [0.0, 0.0, 0.75, 1.0])


def test_nothing_can_be_optimised_where_the_target_does_not_vary():
    sites = [(0, 0), (0, 1)]
    for target in (np.full(5, 2.0), np.full(5, np.nan)):
        assert "best" not in score_run(line(5), truth_of(target), outcomes_at(sites))


def test_at_equal_seconds_a_faster_policy_is_worth_more_and_one_is_the_ideal_at_randoms_pace():
    shared = {"found_random": [0.1, 0.2, 0.3, 0.4], "found_ideal": [0.25, 0.5, 0.75, 1.0]}
    random = {**shared, "found": [0.0, 0.5, 0.5, 0.5], "spent": [0.25, 0.5, 0.75, 1.1]}
    same = {**shared, "found": [0.25, 0.5, 0.75, 1.0], "spent": random["spent"]}
    hasty = {**shared, "found": [0.25, 0.5, 0.75, 1.0], "spent": [0.125, 0.25, 0.375, 0.5]}
    late = {**shared, "found": [0.25, 0.5, 0.75, 1.0], "spent": [1.0, 1.2, 1.4, 1.6]}
    runs = {"random": random, "same": same, "hasty": hasty, "late": late}
    frames = [pd.DataFrame(r).assign(task="t", film=0, policy=p) for p, r in runs.items()]
    given = Tables(steps=pd.concat(frames), maps=pd.DataFrame(), timings=pd.DataFrame())
    task = Task(id="t", seconds=100.0, goals=("discovery",))
    scores = goal_scores(given, {"t": task}).set_index("policy")
    # By hand: a value is held from the end of its measurement to the end of the next, or of the budget.
    zero, one = 0.25 * (0.1 + 0.2 + 0.3), 0.25 * (0.25 + 0.5 + 0.75)
    assert scores.loc["random", "raw"] == pytest.approx(0.25 * (0.0 + 0.5 + 0.5))
    assert scores.loc["random", "score"] == pytest.approx((0.25 - zero) / (one - zero))
    assert scores.loc["same", "score"] == pytest.approx(1.0)
    fast = 0.125 * (0.25 + 0.5 + 0.75) + 0.5 * 1.0
    assert scores.loc["hasty", "score"] == pytest.approx((fast - zero) / (one - zero))
    assert scores.loc["late", "raw"] == 0.0  # all of it ended with the budget, or beyond


def test_a_budget_of_seconds_needs_the_random_policy():
    from grainscout.benchmarks import Campaign, PolicySpec

    task = Task(seconds=100.0, goals=("discovery",))
    with pytest.raises(ConfigError, match="every goal under a budget of seconds"):
        Campaign(name="c", tasks=(task,), policies=(PolicySpec(name="grid"),))


def small_recording(factor=1.0):
    wave = Waveform.triangle(samples=41)
    sites = np.argwhere(np.ones((5, 6), bool))
    scan = Scan(channels={"height": np.arange(30.0).reshape(5, 6) * 1e-9}, pixel_size=(1e-8, 1e-8))
    lag = 1e-10 * (1 + sites.sum(axis=1))[:, None] * np.linspace(0, 1, 41)
    current = np.minimum(1e-9 * wave.voltage + factor * lag, 1.4e-9)
    saturated = np.full(current.shape, factor > 1)
    return Recording(scan=scan, sites=sites, waveform=wave, current=current, saturated=saturated)


def test_a_grid_smaller_than_the_referees_patch_has_a_map():
    data = small_recording()
    sites = map(Site._make, data.sites[::7])
    told = [Outcome(site=s, status="ok", curve=data.curve(s)) for s in sites]
    mean, std = evaluation_map(problem_on(data.scan, waveform=data.waveform), told)
    assert np.ptp(mean) > 0
    assert (std > 0).all()


def test_a_target_that_no_curve_has_is_refused_with_the_reason():
    data = small_recording(factor=2.0)
    with pytest.raises(DataError, match="none of the recorded curves: at the amplifier's rail"):
        recording_truth(data, problem_on(data.scan, waveform=data.waveform, target="loop_area"))
