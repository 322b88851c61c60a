"""Stopping: decisions stay right however often one looks, and depend on the cells alone."""

import numpy as np
import pandas as pd
import pytest
import rogues

from grainscout.analysis import statistics
from grainscout.benchmarks import CampaignStore, PolicySpec, run_campaign, write_results
from grainscout.benchmarks.campaign.campaign import Stopping
from grainscout.benchmarks.campaign.stopping import plan_next_block
from grainscout.records import ConfigError

NAMES = ("random", "grid", "sobol", "dkl")
EVERY_TASK = "film/tiny"


class Everything:
    """All cells have been tried."""

    def __contains__(self, key):
        return True


def plan(**rule):
    settings = {"first_films": 4, "block_films": 2, **rule}
    return rogues.campaign(
        *(PolicySpec(name=name) for name in NAMES), films=40, stopping=Stopping(**settings)
    )


def scores_of(rng, merits, films=40):
    """Scores with a film's difficulty in common; both goals with the same merits."""
    rows = []
    for goal in ("discovery", "mapping"):
        difficulty = rng.normal(size=films)
        for name, merit in zip(NAMES, merits, strict=True):
            values = merit + difficulty + rng.normal(size=films)
            rows += [(EVERY_TASK, film, name, goal, v, v) for film, v in enumerate(values)]
    return pd.DataFrame(rows, columns=["task", "film", "policy", "goal", "raw", "score"])


def test_equal_policies_are_hardly_ever_decided_however_often_one_looks():
    rng = np.random.default_rng(5)
    wrong = naive = 0
    campaigns = 60
    for number in range(campaigns):
        scores = scores_of(rng, (0, 0, 0, 0))
        found = plan_next_block(plan(), scores, Everything())
        wrong += any(c.decided for c in found.comparisons)
        if number >= 20:
            continue
        # What is not valid: the verdicts for a fixed number of films, taken at every look.
        wide = scores[scores["goal"] == "discovery"]
        wide = wide.pivot(index="film", columns="policy", values="score")
        naive += any(
            v.outcome != "not decided"
            for end in range(4, 41, 2)
            for v in statistics.verdicts(wide.to_numpy()[:end], list(wide.columns))
        )
    assert wrong <= 0.05 * campaigns + 2 * np.sqrt(0.05 * 0.95 * campaigns)
    assert naive > 0.10 * 20


def test_films_are_spent_where_nothing_is_decided():
    scores = scores_of(np.random.default_rng(1), (0, 0, 4, 8))
    found = plan_next_block(plan(), scores, Everything())
    assert found.over
    decided = {
        frozenset((c.verdict.policy, c.verdict.baseline)): c.verdict
        for c in found.comparisons
        if c.goal == "discovery"
    }
    assert decided[frozenset(("random", "grid"))].outcome == "not decided"
    assert decided[frozenset(("random", "dkl"))].outcome == "better"  # dkl than random
    assert decided[frozenset(("sobol", "dkl"))].difference.estimate == pytest.approx(4, abs=1.5)
    films = {name: max(k.film for k in found.asked if k.policy == name) + 1 for name in NAMES}
    assert films["random"] == films["grid"] == 40
    assert films["dkl"] < 20
    assert films["sobol"] < 20
    assert found.saved == 4 * 40 - len(found.asked) > 40
    assert found.planned == 160


def test_decisions_are_the_same_at_whatever_moment_the_cells_came_in():
    scores = scores_of(np.random.default_rng(2), (0, 1, 2, 3))
    whole = plan_next_block(plan(), scores, Everything())
    asked, settled = [], set()
    while True:  # block after block, with nothing known of later films
        seen = scores[[(t, f, p) in asked for t, f, p in scores[["task", "film", "policy"]].values]]
        now = plan_next_block(plan(), seen, settled)
        if now.over:
            break
        assert now.saved == 0
        settled |= set(now.waiting)
        asked += [(k.task, k.film, k.policy) for k in now.waiting]
    assert now.asked == whole.asked
    assert [str(c.verdict) for c in now.comparisons] == [str(c.verdict) for c in whole.comparisons]


def test_a_film_on_which_one_policy_failed_is_left_out_of_its_comparisons_alone():
    scores = scores_of(np.random.default_rng(3), (0, 0, 0, 0), films=4)
    lost = (scores["policy"] == "grid") & (scores["film"] == 2)
    small = rogues.campaign(
        *(PolicySpec(name=name) for name in NAMES), films=4, stopping=Stopping(first_films=4)
    )
    found = plan_next_block(small, scores[~lost], Everything())
    for c in found.comparisons:
        touched = "grid" in (c.verdict.policy, c.verdict.baseline)
        found = c.verdict.difference
        assert (found.films, found.failed) == ((3, 1) if touched else (4, 0))


def test_against_compares_with_one_policy_only():
    scores = scores_of(np.random.default_rng(4), (0, 0, 0, 0))
    found = plan_next_block(plan(against="random"), scores, Everything())
    assert len(found.comparisons) == 3
    assert {c.verdict.baseline for c in found.comparisons} == {"random"}


def test_a_real_campaign_says_what_it_saved(tmp_path):
    policies = [PolicySpec(name=n) for n in ("random", "grid", "oracle")]
    rule = Stopping(first_films=2, block_films=2, error=0.4, against="random")
    small = rogues.campaign(*policies, films=6, stopping=rule)
    with CampaignStore(tmp_path / "campaign.sqlite", small.identity()) as store:
        run_campaign(small, store)
        results = write_results(small, store, tmp_path)
        assert store.finished() == set(results.progress.asked)
    assert results.missing == 0
    saved = results.progress.saved
    board = results.files["leaderboard"].read_text()
    assert f"{18 - saved} cells were run and {saved} saved" in board
    assert "Early stopping" in results.files["report"].read_text()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"first_films": 1}, "first_films must be at least 2"),
        ({"block_films": 0}, "block_films must be at least 1"),
        ({"error": 0.7}, "error must lie within 0 to 0.5"),
        ({"against": "grids"}, "against must be a policy of the campaign"),
    ],
)
def test_rules_that_cannot_be_are_refused(rule, said):
    with pytest.raises(ConfigError, match=said):
        plan(**rule)
