"""Registered tasks: what is there, how campaigns name it, and third parties' by their entry points."""

import dataclasses
import sys
from pathlib import Path

import pytest
from samples import package

from grainscout.benchmarks import (
    Campaign,
    PolicySpec,
    Task,
    WaveformSpec,
    find_task,
    tasks,
    tasks_with,
)
from grainscout.benchmarks.reports.campaign_report import campaign_file
from grainscout.benchmarks.tasks import registry
from grainscout.benchmarks.tasks.registry import builtin_tasks, difficulties, unmappable
from grainscout.benchmarks.tasks.task import GOALS, plain
from grainscout.config import load_campaign
from grainscout.records import ConfigError
from grainscout.simulator.instrument import FAULT_LADDERS

MANUAL = Path(__file__).parents[3] / "docs" / "manual" / "own-policy.md"


def test_the_families_cover_what_films_instruments_and_goals_there_are():
    known = builtin_tasks()
    # Liu2023's three targets in two states of light, on both papers' materials.
    assert len([i for i in known if i.startswith("film/")]) == 2 * 3 * 2
    faults = {getattr(t.microscope, "instrument", "") for t in known.values() if "fault" in t.tags}
    assert faults == set(FAULT_LADDERS)
    assert {goal for t in known.values() for goal in t.goals} == set(GOALS)
    assert {t.waveform.kind for t in known.values()} >= {"triangle", "bipolar", "forc", "pulses"}
    limited = {n for t in known.values() for n in ("curves", "seconds", "wear") if getattr(t, n)}
    assert limited == {"curves", "seconds", "wear"}


def test_a_difficulty_is_of_a_task_that_can_be_run_and_of_its_goals():
    measured = difficulties()
    assert measured
    for id_, left in measured.items():
        task = builtin_tasks()[id_]
        assert not task.microscope.needs_file
        assert set(left) == {*task.goals, "until_all"}
        assert left.get("discovery", 0.0) < 1.0
        assert all(value > 0 for value in left.values())


def test_tags_choose_one_or_all_of_several():
    assert {t.id for t in tasks_with(["fault+severe", "ising"])} == {
        i for i in tasks() if (i.startswith("fault/") and i.endswith("severe")) or "ising/" in i
    } - unmappable()
    assert "fault/all-severe" in unmappable()  # its map stays worse than a constant
    assert all(not t.microscope.needs_file for t in tasks_with(["mapping"]))
    with pytest.raises(ConfigError, match=r"one of all, approach.*got 'sever'"):
        tasks_with(["sever"])
    with pytest.raises(ConfigError, match=r"closest are.*film/s26/light/loop_area"):
        find_task("film/s26/ligth/loop_area")


BASE = 'name = "mine"\nfilms = 1\n{}\n[[policy]]\nname = "random"\n'


def campaign_of(folder, text):
    (folder / "mine.toml").write_text(BASE.format(text))
    return load_campaign(str(folder / "mine.toml"))


def test_a_campaign_names_tasks_by_id_by_tag_and_by_likeness(tmp_path):
    plan = campaign_of(
        tmp_path,
        'tasks = ["film/s26/light/loop_area"]\ntasks_by_tag = ["ising", "film+s26+light"]\n'
        '[[task]]\nid = "shorter"\nlike = "film/s26/light/loop_area"\ncurves = 20\n'
        '[[task]]\nid = "timed"\nlike = "film/s26/light/loop_area"\nseconds = 200.0\n'
        '[[task]]\nid = "swept"\nlike = "waveform/forc/loop_area"\nwaveform = { kind = "bipolar" }\n'
        '[[task]]\nid = "grid"\nlike = "replay/max_current"\nmicroscope = { file = "g.3ds" }',
    )
    found = {t.id: t for t in plan.tasks}
    light = [f"film/s26/light/{target}" for target in ("loop_area", "turn_on", "max_current")]
    ising = ["ising/magnetisation", "ising/heat_capacity"]
    assert set(found) == {*light, *ising, "shorter", "timed", "swept", "grid"}
    base = builtin_tasks()[light[0]]
    assert found[light[0]] == base
    assert found["shorter"] == dataclasses.replace(base, id="shorter", curves=20)
    assert (found["timed"].curves, found["timed"].seconds) == (None, 200.0)  # instead, not besides
    assert found["swept"].waveform == WaveformSpec(kind="bipolar")
    assert found["grid"].microscope.file == tmp_path / "g.3ds"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tasks = ["film/s27"]', "id of a registered one; got 'film/s27'"),
        ('tasks_by_tag = ["nothing"]', "task tag must be one of"),
        ('tasks = "film/s26/light/loop_area"', "tasks must be a list of texts"),
        ('tasks = ["replay/max_current"]', r"needs a file of yours: write \[\[task\]\] with like"),
        ('[[task]]\nlike = "film/s26/light/loop_area"\ncurves = 3', "must have an id of its own"),
        ('[[task]]\nid = "a"\nlike = "film/s27"', "id of a registered one; got 'film/s27'"),
        (
            'tasks = ["ising/magnetisation"]\n[[task]]\nid = "ising/magnetisation"\ncurves = 3',
            "twice",
        ),
    ],
)
def test_a_task_that_is_not_there_is_named(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        campaign_of(tmp_path, text)


def test_what_is_not_set_is_no_part_of_a_campaigns_identity():
    """A store written before a setting existed must stay resumable."""
    plan = Campaign(name="a", tasks=(Task(curves=3),), policies=(PolicySpec(name="random"),))
    (task,) = plan.identity()["campaign"]["tasks"]
    assert set(task) == {
        *("id", "microscope", "waveform", "target", "light_suns", "window_px", "batch", "curves"),
        *("goals", "tags"),
    }
    assert "sites" in plain(find_task("boundaries/s26/dark/max_current"))


def test_the_campaign_in_a_report_is_the_campaign(tmp_path):
    plan = load_campaign("cost")
    (tmp_path / "again.toml").write_text(campaign_file(plan), encoding="utf-8")
    assert load_campaign(str(tmp_path / "again.toml")) == plan


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "from grainscout.benchmarks import Task\n"
            "def give(): return [Task(id='ising/magnetisation', curves=3)]",
            r"'ising/magnetisation' must be unique; the entry point bad_tasks:give and a built-in task",
        ),
        (
            "from grainscout.benchmarks import Task\n"
            "def give(): return [Task(id='x', curves=3), Task(id='x', curves=4)]",
            "'x' must be unique; the entry point bad_tasks:give and bad_tasks:give",
        ),
        ("import no_such_module", "cannot be loaded: No module named 'no_such_module'"),
        ("def give(): return ['film']", "must be a function that gives tasks; it gives 'film'"),
        ("give = 3", "must be a function that gives tasks; it gives 3"),
    ],
)
def test_a_bad_entry_point_is_named_and_spares_built_in_tasks(tmp_path, monkeypatch, code, said):
    package(tmp_path, "bad_tasks", code, tasks="bad = bad_tasks:give")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bad_tasks", raising=False)
    with pytest.raises(ConfigError, match=said):
        registry.tasks()
    assert find_task("ising/magnetisation").curves == 40


def test_the_manuals_policy_and_task_are_listed_checked_and_raced(
    tmp_path, monkeypatch, grainscout
):
    """The code blocks of the manual's page: what a reader would copy."""
    parts = MANUAL.read_text(encoding="utf-8").split("```")[1::2]
    code, project, _, campaign, *_ = (part.partition("\n")[2] for part in parts)
    (tmp_path / "mine.toml").write_text(campaign)
    groups = {
        group: project.partition(f'[project.entry-points."grainscout.{group}"]\n')[2]
        .partition("\n")[0]
        .replace('"', "")
        for group in ("policies", "tasks")
    }
    monkeypatch.syspath_prepend(package(tmp_path, "highest", code, **groups))
    monkeypatch.chdir(tmp_path)

    def said(*words):
        status, out, err = grainscout(*words)
        assert status == 0, err
        return " ".join(out.split())

    assert "Always the highest available site: tall grains first." in said("list", "policies")
    assert "mine/peak" in said("list", "tasks", "--tag", "mine")
    said("check-policy", "highest")
    said("bench", "mine.toml", "--out", "out", "--jobs", "0")
    board = (tmp_path / "out" / "leaderboard.md").read_text()
    assert "Optimisation: " in board
    assert "| highest |" in board
    page = (tmp_path / "out" / "report.html").read_text()
    assert "best value" in page
    assert "mine/peak" in page


def test_the_papers_materials_are_found_by_their_papers_too():
    assert find_task("film/Gong2026/light/loop_area") == find_task("film/s26/light/loop_area")
    assert tasks_with(["film+Liu2023+dark"]) == tasks_with(["film+s23+dark"])
