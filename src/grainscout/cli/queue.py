"""Commands ``grainscout approve`` and ``queue``."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument

from grainscout.cli.console import console
from grainscout.records import ConfigError, GrainscoutError

#: Exit status of a run that ended by its budget or its policy.
_ENDED = 0


@dataclass(frozen=True, kw_only=True)
class QueuedRun:
    """A run of a queue and when it may start."""

    file: Path  #: Experiment file, approved
    #: "success": only if the run before ended by itself; "always": also after one that failed.
    after: Literal["success", "always"] = "success"
    not_before: str | None = None  #: Time of the day, such as "22:00"
    not_after: str | None = None  #: Time of the day at which it is too late to start


@dataclass(frozen=True, kw_only=True)
class QueueConfig:
    """Runs of a night, one after the other."""

    runs: tuple[QueuedRun, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not self.runs:
            raise ConfigError("a queue must have at least one [[runs]]")
        for run in self.runs:
            for given in (run.not_before, run.not_after):
                if given is not None:
                    _next(given, datetime.now())


def approve(files: Annotated[list[Path], Argument(help="Experiment files (TOML).")]) -> None:
    """Fly experiments on their twins, and approve them by hand for a queue or an assistant."""
    from grainscout.cli.preflight import preflight
    from grainscout.config.approval import approve as write
    from grainscout.config.run import load_run

    if not sys.stdin.isatty():
        raise ConfigError("approve must be run by a person at a terminal")
    for path in files:
        settings = load_run(path)
        console.rule(str(path))
        preflight(path)
        _forget_typed()
        if typer.confirm(f"Approve {path.name} as it is?"):
            console.print(f"approved: {write(path, settings)}")


def queue(config: Annotated[Path, Argument(help="Queue file (TOML).")]) -> None:
    """Run approved experiments one after the other, on their conditions."""
    from grainscout.config import parse
    from grainscout.config.approval import load_approved
    from grainscout.config.run import absolute
    from grainscout.config.toml import read_toml

    runs = parse(QueueConfig, absolute(read_toml(config), config.parent), str(config)).runs
    for run in runs:  # all of them before the first one starts
        load_approved(run.file)
    ended, begun = True, datetime.now()
    for run in runs:
        if not ended and run.after == "success":
            console.print(f"left out: {run.file.name}, the run before it failed")
            continue
        if run.not_before is not None:
            _sleep_until(_next(run.not_before, begun))
        if run.not_after is not None and datetime.now() > _next(run.not_after, begun):
            console.print(f"left out: {run.file.name}, it is past {run.not_after}")
            continue
        load_approved(run.file)  # it may have been changed meanwhile
        console.print(f"starts: {run.file.name}")
        command = [sys.executable, "-m", "grainscout.cli", "run", "--approved", str(run.file)]
        ended = subprocess.run(command, check=False).returncode == _ENDED
    if not ended:
        raise GrainscoutError("the last run of the queue failed")


def _forget_typed() -> None:
    """Drop what was typed before the question: it answers nothing that was not seen."""
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            msvcrt.getwch()
    else:
        import termios

        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _next(clock: str, begun: datetime) -> datetime:
    """The first such time of the day after the queue began."""
    try:
        day = datetime.strptime(clock, "%H:%M")
    except ValueError:
        raise ConfigError(f'a time of the day must be like "22:00"; got {clock!r}') from None
    at = begun.replace(hour=day.hour, minute=day.minute, second=0, microsecond=0)
    return at if at >= begun else at + timedelta(days=1)


def _sleep_until(end: datetime) -> None:
    console.print(f"waits until {end:%H:%M}")
    while (left := (end - datetime.now()).total_seconds()) > 0:
        time.sleep(min(left, 10.0))
