"""What one policy does to its process reaches no other cell; what made a cell is told; twins are deaf."""

import os
import random
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from rogues import TASK, campaign
from samples import curve_of, package

from grainscout.benchmarks import CampaignStore, MicroscopeSpec, PolicySpec, run_campaign
from grainscout.benchmarks.campaign.cell import run_cell
from grainscout.benchmarks.campaign.isolation import isolated_policy
from grainscout.benchmarks.campaign.made_by import made_by
from grainscout.benchmarks.campaign.runner import retire_stale
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.campaign.twins import TwinPolicy
from grainscout.benchmarks.campaign.worker_process import process_state_restored
from grainscout.records import Outcome, PolicyError, Site, Waveform


@pytest.mark.parametrize(
    ("alter", "name"),
    [
        (lambda: np.seterr(all="raise"), "numpy's error handling"),
        (lambda: np.random.seed(1), "numpy's global generator"),  # noqa: NPY002
        (random.random, "python's global generator"),
        (lambda: warnings.simplefilter("always"), "warning filters"),
        (lambda: os.environ.update(NEW="1"), "environment variables"),
        (lambda: os.chdir(".."), "working directory"),
        (lambda: torch.set_default_dtype(torch.float64), "torch's default dtype"),
        (lambda: torch.set_grad_enabled(False), "torch's gradient mode"),
    ],
)
def test_what_a_cell_alters_is_named_and_put_back(alter, name):
    with process_state_restored() as altered:
        alter()
    assert altered == [name]
    with process_state_restored() as altered:
        pass
    assert altered == []


def test_an_edited_policy_is_raced_again_and_nothing_else(tmp_path, monkeypatch):
    code = "from grainscout.policies.strategies.random import Random\nclass Friend(Random):\n    bias = {}\n"
    module = tmp_path / "friends_policy.py"
    package(tmp_path, module.stem, code.format(1), policies="friend = friends_policy:Friend")
    monkeypatch.syspath_prepend(tmp_path)
    plan = campaign(PolicySpec(name="random"), PolicySpec(name="friend"), films=1)
    with CampaignStore(tmp_path / "c.sqlite", plan.identity()) as store:
        run_campaign(plan, store)
        assert retire_stale(plan, store).stale == []
        module.write_text(code.format(2))
        before = retire_stale(plan, store)
        assert [k.policy for k in before.stale] == ["friend"]
        assert {k.policy for k in store.finished()} == {"random"}  # nothing old is shown
        again = []
        run_campaign(plan, store, progress=lambda key, *_: again.append(key.policy))
        assert again == ["friend"]


def test_cells_of_before_are_kept_and_said_to_be_of_unknown_make(tmp_path):
    plan = campaign(PolicySpec(name="random"), films=1)
    with CampaignStore(tmp_path / "c.sqlite", plan.identity()) as store:
        run_campaign(plan, store)
        (key,) = store.finished()
        store.record(key, "finished", 1.0, b"", "")
        found = retire_stale(plan, store)
        assert (found.kept, found.unknown, found.stale) == (1, 1, [])


def test_options_and_twins_are_part_of_what_made_a_cell():
    specs = [{}, {"options": {"window": 8}}, {"twin": "shuffled"}]
    assert len({made_by(TASK, PolicySpec(name="dkl", **s)) for s in specs}) == 3


COPY = """
import os, sys
from pathlib import Path

opened, here = set(), Path(sys.argv[1]).resolve()
sys.addaudithook(lambda what, about: opened.add(about[0]) if what == "open" else None)
from grainscout.benchmarks import MicroscopeSpec, PolicySpec, Task
from grainscout.benchmarks.campaign import made_by
from grainscout.benchmarks.campaign.cell import run_cell
from grainscout.benchmarks.campaign.store import CellKey

TASK = Task(microscope=MicroscopeSpec(film="tiny"), curves=4)

def digest(name):
    made_by._rooms.cache_clear()
    return made_by.made_by(TASK, PolicySpec(name=name))

for name in ("scout", "map"):
    run_cell(CellKey(task=TASK.id, film=0, policy=name), TASK, PolicySpec(name=name), 3)
    print("whole", digest(name))

def files(opened):
    paths = {Path(p).resolve() for p in opened if isinstance(p, (str, os.PathLike))}
    return {p for p in paths if p.is_relative_to(here) and p.suffix not in (".pyc", ".pyi")}

code = [m.__file__ for n, m in sys.modules.items() if n.startswith("grainscout.")]
needed = files([*opened, *code])
opened.clear()
digest("map")
for path in needed - files(opened):
    print("missing", path.relative_to(here).as_posix())
for path in (p for p in needed if p.suffix != ".py"):
    kept = path.read_bytes()
    path.write_bytes(kept + b"#")
    print(path.name, digest("map"))
    path.write_bytes(kept)
"""
#: Code that a cell imports and that decides nothing of its numbers.
IDLE = (
    *(
        "__init__.py",
        "moved.py",
        "lazy.py",
        "journal/",
        "analysis/__init__.py",
        "analysis/registration.py",
    ),
    *("analysis/formats/", "analysis/statistics/", "hardware/adapters/", "benchmarks/__init__.py"),
    *(f"benchmarks/campaign/{name}.py" for name in ("__init__", "isolation", "made_by", "store")),
    *("policies/strategies/__init__.py", "policies/strategies/scout.py"),
)


def test_every_file_that_a_cell_reads_is_part_of_what_made_it(tmp_path):
    copy = tmp_path / "grainscout"
    for room in ("", ".simulator", ".policies", ".hardware", ".benchmarks", ".analysis"):
        of, to = files(f"grainscout{room}"), copy.joinpath(*room.split("."))
        ignore = shutil.ignore_patterns("__pycache__", "studies", "speed", "datasets")
        shutil.copytree(str(of), to, ignore=ignore, dirs_exist_ok=True)
    ran = subprocess.run(
        [sys.executable, "-c", COPY, str(copy)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split(" ", 1) for line in ran.stdout.splitlines()]
    whole = [digest for name, digest in found if name == "whole"]
    assert whole == [made_by(TASK, PolicySpec(name=name)) for name in ("scout", "map")]
    assert [name for said, name in found if said == "missing" and not name.startswith(IDLE)] == []
    changed = {name: digest for name, digest in found if name not in ("whole", "missing")}
    weights = {"archetypes.npz", "reader.npz", "reader.json", "height.npz", "height.json"}
    assert set(changed) >= weights
    assert len({whole[1], *changed.values()}) == 1 + len(changed)


def test_an_edited_file_of_the_task_is_part_of_what_made_a_cell(tmp_path, monkeypatch):
    film, module = tmp_path / "film.npz", tmp_path / "steepness.py"
    film.write_bytes(b"1")
    module.write_text("def slope(voltage, current):\n    return current[:, -1]\n")
    monkeypatch.syspath_prepend(tmp_path)
    scope = MicroscopeSpec(film_file=film)
    task = replace(TASK, microscope=scope, target="steepness:slope [A]")
    made = [made_by(task, PolicySpec(name="random"))]
    for file in (film, module):
        file.write_text("# edited")
        made.append(made_by(task, PolicySpec(name="random")))
    assert len(set(made)) == 3


@pytest.mark.parametrize("twin", ["shuffled", "prior only"])
def test_a_twin_is_told_the_sites_and_not_their_curves(twin):
    wave = Waveform.triangle(samples=21)
    told = []
    inner = type("Inner", (), {"tell": lambda self, outcomes: told.extend(outcomes)})()
    policy = TwinPolicy(inner, twin)
    given = [
        Outcome(site=Site(0, k), status="ok", curve=curve_of(wave, k * 1e-9 * wave.voltage))
        for k in range(60)
    ]
    for outcome in given:
        policy.tell([outcome])
    assert [o.site for o in told] == [o.site for o in given]
    if twin == "prior only":
        assert not any(o.usable for o in told)
    else:
        own = np.mean([a.curve is b.curve for a, b in zip(told, given, strict=True)])
        assert 0 < own < 0.2  # the harmonic number over 60 is 0.08


SPY = """
import gc
from grainscout.policies.strategies.random import Random
from grainscout.records import Proposal, Site

class Spy(Random):
    "Asks for its first candidate where it finds a film in its process, else for its last."
    def ask(self, n=1):
        found = any(type(thing).__name__ == "Film" for thing in gc.get_objects())
        site = self.problem.candidates[0 if found else -1]
        return [Proposal(id=f"{len(self.archive)}", site=Site(*map(int, site)))]
"""


def test_a_policy_in_its_own_process_finds_no_film(tmp_path, monkeypatch):
    package(tmp_path, "spies", SPY, policies="spy = spies:Spy")
    monkeypatch.syspath_prepend(tmp_path)
    task = replace(TASK, curves=2, second_look=0)
    first = {
        isolate: run_cell(
            CellKey(task=task.id, film=0, policy="spy"),
            task,
            PolicySpec(name="spy"),
            3,
            isolate=isolate,
        )["steps"]["row"][0]
        for isolate in (False, True)
    }
    assert first[False] < first[True]


def test_isolation_changes_no_result():
    key, task = CellKey(task=TASK.id, film=0, policy="dkl"), replace(TASK, curves=8)
    here, apart = (run_cell(key, task, PolicySpec(name="dkl"), 3, isolate=i) for i in (False, True))
    for part in ("steps", "checkpoints", "final"):
        for name, values in here[part].items():
            np.testing.assert_array_equal(apart[part][name], values, err_msg=name)


def test_a_policy_that_cannot_start_apart_says_why():
    with (
        pytest.raises(PolicyError, match=r"must start in a process of its own.*no option"),
        isolated_policy(PolicySpec(name="dkl"), {"nonsense": 1}),
    ):
        pass
