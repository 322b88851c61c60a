"""The command log, and checks that an answer fits its command."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from grainscout.records import ConfigError, IVCurve, MicroscopeError, Waveform

Status = Literal["issued", "refused", "planned", "failed"]


@dataclass(frozen=True, kw_only=True)
class Command:
    """One line of the command log."""

    time_s: float  #: Time on the microscope's clock [s]
    name: str  #: scan, measure, light, park or limit_current
    arguments: Mapping[str, Any] = field(default_factory=dict)  #: Plain values
    #: Refused by a limit, planned only (dry run), or failed after it was issued.
    status: Status = "issued"
    message: str = ""  #: Why it was refused or failed

    def __str__(self) -> str:
        words = ", ".join(f"{k}={v}" for k, v in self.arguments.items())
        tail = f": {self.message}" if self.message else ""
        return f"{self.time_s:12.3f} s  {self.status:8} {self.name}({words}){tail}"


def command_file(path: str | Path) -> Callable[[Command], None]:
    """Make a writer for ``Guard(on_command=...)``.

    It appends one JSON object a line. A line is on its way to the disk before its command is issued,
    so the file shows what a run that died had done.

    Raises
    ------
    ConfigError
        If the file cannot be opened.
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


#: Nothing that a conductive AFM measures comes near this [A]; overflow codes (9.9e37) are above.
_OVERFLOW = 1.0


def largest_current(curve: IVCurve) -> float:
    """Return the largest absolute current [A]. 0 if all samples were lost."""
    return float(np.nanmax(np.abs(curve.current), initial=0.0))


def check_answer(curve: IVCurve, waveform: Waveform, *, seconds: float) -> None:
    """MicroscopeError if a curve that took `seconds` [s] cannot be the waveform's."""
    largest = largest_current(curve)
    problems = {
        f"{len(waveform)} samples; got {len(curve)}": len(curve) != len(waveform),
        "finite voltages; got a NaN or infinite one": not np.isfinite(curve.voltage).all(),
        f"currents of at most {_OVERFLOW:g} A; got {largest:g} A, which is an overflow code or "
        "another unit": largest > _OVERFLOW,
        f"no negative duration; the clock ran back by {-seconds:g} s": seconds < 0,
    }
    for problem, found in problems.items():
        if found:
            raise MicroscopeError(f"the microscope's curve must have {problem}")
