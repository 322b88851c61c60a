"""aespm: an Asylum microscope through command files for its Igor (Windows).

``aespm.move_tip`` is a jump by a given displacement. Here a move is a row of jumps of at most `step`,
each as long as the package takes to have Igor run a command file (about 0.35 s).
"""

import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.hardware.adapters.asylum.microscope import AsylumMicroscope, Igor
from grainscout.hardware.adapters.asylum.paper import asylum_factory
from grainscout.records import ConfigError, MicroscopeError


class AespmIgor(Igor):
    """Igor through command files. `step` is the largest jump [V], `patience` the longest wait [s]."""

    errors: tuple[type[Exception], ...] = (OSError, ValueError)

    def __init__(self, step: float, patience: float) -> None:
        try:
            from aespm import experiment  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except (ImportError, OSError) as error:  # without Asylum's software it misses its own files
            raise ConfigError(
                "aespm needs the package of that name, beside numpy < 2, and the Asylum software: "
                f"pip install -e '.[aespm]' in the checkout in an environment of its own; {error}"
            ) from error
        self._aespm: Any = experiment
        self._step, self._patience = step, patience
        self.read(self.loops)  # an absent Igor is an error now

    def press(self, control: str, panel: str, value: float = 0.0) -> None:
        """Press a button or set a number of a panel."""
        self.execute(f'ARExecuteControl("{control}","{panel}",{value},"")')

    def execute(self, command: str) -> None:
        """Have Igor run one line."""
        self._aespm.write_spm(command)

    def read(self, names: tuple[str, str]) -> tuple[float, float]:
        """Return two values of the controller [V]. MicroscopeError if Igor does not answer.

        The lines are ours: the package asks for a sensor as if it were a parameter of a panel. An old file is
        removed first, or it would be taken for the answer.
        """
        answer = Path(self._aespm._read_out_buffer)
        ask = "Make/N = (2)/O ReadOut\n" + "".join(
            f'ReadOut[{i}] = td_ReadValue("{name}")\n' for i, name in enumerate(names)
        )
        target = str(answer).replace("\\", "\\\\")
        ask += f'Save/O/G/J ReadOut as "{target}"'
        deadline = time.monotonic() + self._patience
        answer.unlink(missing_ok=True)
        while True:
            try:
                values = np.atleast_1d(self._aespm.read_spm(list(names), commands=ask))
                if values.shape == (2,) and np.isfinite(values).all():
                    return float(values[0]), float(values[1])
            except FileNotFoundError:
                values = np.empty(0)
            except ValueError as error:
                raise MicroscopeError(f"Igor must write two numbers; got {error}") from error
            if time.monotonic() > deadline:
                raise MicroscopeError(
                    f"Igor must write two numbers to {answer} within {self._patience:g} s; got "
                    f"{values.tolist()}"
                )
            time.sleep(0.05)

    def ramp(self, start: tuple[float, float], end: tuple[float, float], seconds: float) -> None:
        """Jump from `start` to `end` [V] in equal steps, in at least `seconds`."""
        count = max(1, math.ceil(math.dist(start, end) / self._step))
        way = np.linspace(start, end, count + 1)
        for here, there in pairwise(way):
            begun = time.monotonic()
            # With 1 m/V its displacement in metres is one in volts.
            self._aespm.move_tip(r=list(there - here), v0=list(here), s=[1.0, 1.0])
            time.sleep(max(0.0, seconds / count - (time.monotonic() - begun)))

    def image(self) -> None:
        """Start an image downwards."""
        self._aespm.spm_control("DownScan")

    def sweep(self) -> None:
        """Press the DoIV button."""
        self._aespm.spm_control("IVDoIt")


@asylum_factory(step_V=0.05, speed_m_per_s=1e-7, timeout_s=20.0)
def open_aespm(*, step_V: float = 0.05, **options: Any) -> AsylumMicroscope:
    """Connect to the Igor on this PC.

    `step_V` is the largest jump of a move [V]. Other options as in `AsylumOptions`.
    """
    if not (math.isfinite(step_V) and step_V > 0):
        raise ConfigError(f"step_V must be positive and finite [V]; got {step_V}")
    options = {"speed_m_per_s": 1e-7, "timeout_s": 20.0, **options}
    return AsylumMicroscope(lambda: AespmIgor(step_V, options["timeout_s"] / 2), **options)
