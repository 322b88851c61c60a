"""A night of several runs, and an assistant: nothing starts that a person did not approve."""

import contextlib
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from grainscout.cli import queue
from grainscout.cli.mcp import Desk
from grainscout.cli.queue import QueueConfig
from grainscout.config import load_run, parse
from grainscout.config.approval import approve
from grainscout.journal import Journal
from grainscout.records import ConfigError, DataError, JournalError

RUN = """
[policy]
name = "random"
[task]
curves = 3
waveform = { kind = "triangle", peak_V = 0.8, samples = 31, duration_s = 0.1 }
[task.microscope]
film = "tiny"
instrument = "quiet"
"""


@pytest.fixture
def night(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.toml").write_text(RUN)
    (tmp_path / "night.toml").write_text('[[runs]]\nfile = "a.toml"\n[[runs]]\nfile = "b.toml"\n')
    return tmp_path


def approved(path):
    return approve(path, load_run(path))


def test_a_queue_runs_what_is_approved_as_it_is_now_and_stops_at_a_failure(night, grainscout):
    approved(night / "a.toml")
    status, _, said = grainscout("queue", night / "night.toml")
    assert status == 2
    assert "b.toml must be approved" in said
    approved(night / "b.toml")
    (night / "b.toml").write_text(RUN.replace("0.8", "1.8"))
    status, _, said = grainscout("queue", night / "night.toml")
    assert status == 2
    assert "of another version" in said
    assert not list(night.glob("*.gsj"))
    approved(night / "b.toml")
    (night / "a.gsj").write_text("a journal of before: the first run fails")
    status, said, _ = grainscout("queue", night / "night.toml")
    assert status == 1
    assert "left out: b.toml" in said


@pytest.fixture
def started(night, monkeypatch):
    """Names of the runs that a queue starts at 22:00; the first one fails, and takes until midnight."""
    names, clock = [], [datetime(2026, 3, 1, 22, 0)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return clock[0]

    def run(command, check):
        names.append(Path(command[-1]).stem)
        clock[0] = datetime(2026, 3, 2, 0, 0)
        return subprocess.CompletedProcess(command, int(names[-1] == "a"))

    monkeypatch.setattr(queue, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(queue, "datetime", Clock)
    monkeypatch.setattr(queue, "_sleep_until", lambda end: names.append(f"{end:%H:%M}"))
    for name in "ab":
        approved(night / f"{name}.toml")
    return names


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", ["a"]),
        ('after = "always"', ["a", "b"]),
        ('after = "always"\nnot_before = "05:30"', ["a", "05:30", "b"]),
        ('after = "always"\nnot_after = "23:00"', ["a"]),
        ('after = "always"\nnot_after = "01:00"', ["a", "b"]),
    ],
)
def test_a_run_starts_on_its_conditions(night, grainscout, started, condition, expected):
    with (night / "night.toml").open("a") as file:
        file.write(condition)
    grainscout("queue", night / "night.toml")
    assert started == expected


def test_a_file_that_is_changed_during_the_night_is_not_run(
    night, grainscout, started, monkeypatch
):
    def change(command, check):
        started.append(Path(command[-1]).stem)
        (night / "b.toml").write_text(RUN.replace("0.8", "1.8"))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(queue, "subprocess", SimpleNamespace(run=change))
    status, _, said = grainscout("queue", night / "night.toml")
    assert (status, started) == (2, ["a"])
    assert "b.toml must be approved as it is now" in said


def test_approval_is_a_persons(night, grainscout, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    status, _, said = grainscout("approve", night / "a.toml")
    assert status == 2
    assert "a person at a terminal" in said


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")
def test_what_was_typed_before_the_question_approves_nothing(night):
    import os
    import pty

    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")  # typed ahead, before the film was even flown
    command = [sys.executable, "-m", "grainscout.cli", "approve", str(night / "a.toml")]
    asked = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    seen = ""
    while "[y/N]" not in seen:
        seen += asked.stdout.read(1)
    os.write(ours, b"\n")
    assert asked.wait(60) == 0
    asked.stdout.close()
    os.close(ours)
    assert not (night / "a.approved.json").exists()


@pytest.mark.parametrize("table", [{}, {"runs": [{"file": "a", "not_before": "25:00"}]}])
def test_a_queue_that_is_none_is_refused(table):
    with pytest.raises(ConfigError, match="must"):
        parse(QueueConfig, table, "night.toml")


def test_an_assistant_starts_approved_runs_of_its_folder_only(night):
    desk = Desk(night)
    (night.parent / "out.toml").write_text(RUN)
    for name in ("../out.toml", "/etc/passwd", "a.gsj", "c.toml"):
        with pytest.raises(DataError, match="must be a"):
            desk.run(name)
    with pytest.raises(ConfigError, match="must be approved"):
        desk.run("a.toml")
    approved(night / "a.toml")
    assert desk.list_files()["approved"] == ["a.toml"]
    assert "a.log" in desk.run("a.toml")
    end = time.monotonic() + 180
    while time.monotonic() < end:
        time.sleep(0.2)
        # Until the file is there and whole.
        with contextlib.suppress(DataError, JournalError):
            if desk.watch("a.gsj")["ended"]:
                break
    assert desk.watch("a.gsj")["measured"] == 3
    with pytest.raises(ConfigError, match="request must be"):
        desk.control("a.gsj", "attach")
    assert "has ended" in desk.control("a.gsj", "pause")
    with Journal.read(night / "a.gsj") as journal:
        assert journal.count() == 3
