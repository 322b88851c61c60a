"""Cells in worker processes: deaths, hangs and hunger stay in their cell; nothing is left running."""

from pathlib import Path

import pytest
import rogues

from grainscout.benchmarks import CampaignStore, CellKey, PolicySpec, run_campaign
from grainscout.records import ConfigError

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes in /proc")


def test_rogues_fail_alone_each_with_its_reason_and_leave_no_process(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(rogues.install(tmp_path)))
    note = tmp_path / "processes"
    plan = rogues.campaign(
        PolicySpec(name="raiser"),
        PolicySpec(name="random"),
        PolicySpec(name="killer"),
        PolicySpec(name="hanger", options={"note": str(note)}),
        PolicySpec(name="greedy"),
        films=1,
        cell_timeout_s=20.0,
        cell_memory_GiB=2.0,
    )
    with CampaignStore(tmp_path / "c.sqlite", plan.identity()) as store:
        run_campaign(plan, store, jobs=1)
        assert {key.policy for key in store.finished()} == {"random"}
        said = {key.policy: why.splitlines()[-1] for key, why in store.failures().items()}
    assert said["hanger"] == "time-out: the cell took longer than 20 s and was ended"
    assert said["raiser"] == "RuntimeError: the policy of a friend"
    assert said["killer"].startswith("the worker died twice")
    assert said["killer"].endswith("SIGKILL")
    assert said["greedy"] == "out of memory: the cell needed more than 2 GiB"
    hung, started = map(int, note.read_text().split())
    assert not rogues.alive(hung)
    assert not rogues.alive(started)
    assert not rogues.own_cell_processes()


def test_what_one_cell_may_take_is_no_part_of_what_a_campaign_is(tmp_path):
    rogues.run(rogues.campaign(PolicySpec(name="random"), films=1), tmp_path)
    bounds = {"cell_timeout_s": 5.0, "cell_memory_GiB": 1.0}
    other = rogues.campaign(PolicySpec(name="random"), films=1, **bounds)
    with CampaignStore(tmp_path / "campaign.sqlite", other.identity()) as store:
        assert store.finished() == {CellKey(task=rogues.TASK.id, film=0, policy="random")}


@pytest.mark.parametrize("setting", ["cell_timeout_s", "cell_memory_GiB"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_bounds_that_bound_nothing_are_refused(setting, value):
    with pytest.raises(ConfigError, match=f"campaign {setting} must be a finite number"):
        rogues.campaign(**{setting: value})


def test_options_that_cannot_travel_are_refused_by_name(tmp_path):
    plan = rogues.campaign(PolicySpec(name="random", options={"x": object}), films=1)
    identity = rogues.campaign(PolicySpec(name="random"), films=1).identity()
    with (
        CampaignStore(tmp_path / "c.sqlite", identity) as store,
        pytest.raises(ConfigError, match="plain values"),
    ):
        run_campaign(plan, store, jobs=1)
