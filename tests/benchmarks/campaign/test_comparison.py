"""Two campaigns side by side."""

import dataclasses

import pytest
from rogues import TASK, campaign

from grainscout.benchmarks import CampaignStore, PolicySpec, run_campaign, write_results
from grainscout.benchmarks.reports.comparison import write_campaign_comparison
from grainscout.records import DataError

TINY = dataclasses.replace(TASK, target="max_current", goals=("optimisation",), curves=12)
RANDOM = PolicySpec(name="random")
PLAN = campaign(RANDOM, PolicySpec(name="random", label="mine"), name="old", films=6, tasks=(TINY,))


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """The same policy by name, which the truth drives in the second campaign."""
    better = (RANDOM, PolicySpec(name="oracle", label="mine"))
    plans = PLAN, dataclasses.replace(PLAN, name="new", policies=better)
    folder = tmp_path_factory.mktemp("two")
    stores = [CampaignStore(folder / f"{p.name}.sqlite", p.identity()) for p in plans]
    for plan, store in zip(plans, stores, strict=True):
        run_campaign(plan, store)
    yield plans, stores
    for store in stores:
        store.__exit__()


def test_what_has_changed_is_told_from_what_has_not(raced, tmp_path):
    said = write_campaign_comparison(tmp_path / "page.html", *raced)
    assert "B: mine against A: mine: better" in said
    assert "B: random against A: random" not in said  # the same runs: no difference
    assert "not decided (+0.00, +0.00 to +0.00)" in (tmp_path / "page.html").read_text()


def test_a_policy_that_does_as_random_does_is_told_so(raced, tmp_path):
    (plan, _), (store, _) = raced
    files = write_results(plan, store, tmp_path).files
    for page in (files["leaderboard"], files["report"]):
        assert "mine and random measured the same sites" in page.read_text()


def test_other_films_are_not_compared(raced, tmp_path):
    plans, stores = raced
    other = dataclasses.replace(plans[1], seed=9)
    with pytest.raises(DataError, match="one seed, for the same films; got 3 and 9"):
        write_campaign_comparison(tmp_path / "page.html", (plans[0], other), stores)
