"""Tasks for other people's learners: the library's own checker, and episodes equal to runs."""

from dataclasses import replace

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")

from grainscout.benchmarks import Campaign, CampaignStore, PolicySpec, run_campaign  # noqa: E402
from grainscout.benchmarks.campaign.cell import film_seed  # noqa: E402
from grainscout.benchmarks.learners import (  # noqa: E402
    TaskEnv,
    play,
    save_dataset,
    search_weights,
    store_episodes,
)
from grainscout.config import load_campaign  # noqa: E402
from grainscout.policies.strategies.policy_search import FOUND, PolicySearch  # noqa: E402
from grainscout.records import ConfigError  # noqa: E402

TASK = load_campaign("smoke").tasks[0]


@pytest.fixture(scope="module")
def env():
    return TaskEnv(TASK, curves=12)


def test_gymnasiums_own_checker_accepts_a_registered_task():
    from gymnasium.utils.env_checker import check_env

    made = gymnasium.make("grainscout.benchmarks.learners:grainscout/Task-v0", task=TASK, curves=3)
    check_env(made.unwrapped, skip_render_check=True)


def test_rewards_of_an_episode_add_up_to_its_score(env):
    env.reset(seed=3)
    total, done = 0.0, False
    while not done:
        seen, reward, done, _, info = env.step(env.action_space.sample())
        total += reward
    assert total == pytest.approx(info["worth"])
    assert seen["count"] == 12
    assert np.abs(seen["curves"]).max() > 0


def test_films_to_learn_on_are_none_of_a_campaign(env):
    learnt = {env.reset(seed=k)[1]["film_seed"] for k in range(8)}
    judged = {film_seed(seed, TASK.id, k) for seed in range(5) for k in range(50)}
    assert len(learnt) == 8
    assert not learnt & judged


def test_a_site_beyond_the_candidates_is_refused(env):
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="number of a candidate"):
        env.step(np.int64(env.action_space.n))


def test_a_campaigns_episode_is_what_the_environment_gives_for_its_actions(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    task = replace(TASK, curves=8)
    campaign = Campaign(name="c", films=1, tasks=(task,), policies=(PolicySpec(name="random"),))
    with CampaignStore(tmp_path / "c.sqlite", campaign.identity()) as store:
        run_campaign(campaign, store)
    ((_, episode),) = store_episodes(tmp_path / "c.sqlite", [task], "discovery").items()

    env = TaskEnv(task, goal="discovery")
    env.reset(options={"seed": campaign.seed, "film": 0})
    k = 0
    while k < len(episode.actions):
        seen, *_ = env.step(episode.actions[k])
        k = int(seen["count"][0])
    np.testing.assert_allclose(seen["curves"], episode.observations[-1]["curves"], rtol=1e-5)
    assert episode.rewards.sum() == pytest.approx(env._worth)

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    saved = save_dataset("grainscout/test-v0", [episode])
    assert saved.total_steps == 8


def test_searched_weights_do_better_than_none_on_films_that_the_search_did_not_see(env):
    found, none = (
        np.mean([play(env, PolicySearch(weights=w), film) for film in range(10**6, 10**6 + 4)])
        for w in (FOUND, (0.0,) * len(FOUND))
    )
    assert found > none + 0.05


def test_the_search_repeats_itself_and_moves_towards_what_is_rewarded(env, monkeypatch):
    pytest.importorskip("cma")
    goal = np.linspace(-1, 1, len(FOUND))
    monkeypatch.setattr(
        "grainscout.benchmarks.learners.search.play",
        lambda _, policy, film: -np.sum((np.array(policy.weights) - goal) ** 2) + film,
    )
    first, second = (search_weights(env, generations=40, films=2, seed=3) for _ in range(2))
    assert first == second
    assert np.sum((np.array(first) - goal) ** 2) < 0.2 * np.sum(goal**2)


@pytest.mark.parametrize("weights", [(1.0,), (np.nan,) * len(FOUND)])
def test_weights_must_be_as_many_finite_numbers_as_there_are_columns(weights):
    with pytest.raises(ConfigError, match="weights"):
        PolicySearch(weights=weights)


def test_without_cma_the_extra_is_named(env, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cma", None)
    with pytest.raises(ConfigError, match=r"pip install 'grainscout\[learners\]'"):
        search_weights(env)
