"""The command log: what was asked of a microscope, when, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from grainscout.records import ConfigError

Status = Literal["issued", "refused", "planned", "failed"]


@dataclass(frozen=True, kw_only=True)
class Command:
    """One line of the command log.

    time_s : on the microscope's clock;  name : scan, measure, light, park or limit_current;
    arguments : plain values;  status : issued to the microscope, refused by a limit, planned only
    (dry run), or failed after it was issued;  message : why it was refused or failed.
    """

    time_s: float
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "issued"
    message: str = ""

    def __str__(self) -> str:
        words = ", ".join(f"{k}={v}" for k, v in self.arguments.items())
        tail = f": {self.message}" if self.message else ""
        return f"{self.time_s:12.3f} s  {self.status:8} {self.name}({words}){tail}"


def command_file(path: str | Path) -> Callable[[Command], None]:
    """A writer for ``Guard(on_command=...)``: one JSON object a line, appended to a file.

    A line is on its way to the disk before its command is issued, so the file tells what a run
    that died had done.  ConfigError if the file cannot be opened.
    """
    place = Path(path)
    try:
        place.open("a", encoding="utf-8").close()
    except OSError as error:
        raise ConfigError(f"command log must be a file that can be written: {error}") from error

    def write(command: Command) -> None:
        with place.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(command)) + "\n")

    return write
