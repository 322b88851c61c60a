"""The .ibw files of the Asylum software. Old, truncated or other ones are rejected."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from grainscout.analysis.formats import Traces, read, read_traces
from grainscout.records import ConfigError, DataError, IVCurve, MicroscopeError, Scan, Waveform

_POLL = 0.02  # s
_T = TypeVar("_T")


class SaveFolder:
    """The folder where the instrument's software saves."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise ConfigError(
                f"folder must be the one in which the Asylum software saves; got {folder}"
            )
        self._before: dict[str, tuple[int, int]] = {}
        self.mark()

    def mark(self) -> None:
        """Remember the present files, which are older than the next command."""
        self._before = self._stamps()

    def image(self, seconds: float) -> Scan:
        """Return the image saved since `mark`. MicroscopeError after `seconds`, or for several."""
        return self._wait("image", _image, seconds)

    def curve(self, seconds: float) -> Traces:
        """Return the curve saved since `mark`, likewise."""
        return self._wait("curve", read_traces, seconds)

    def _wait(self, what: str, read: Callable[[Path], _T], seconds: float) -> _T:
        deadline = time.monotonic() + seconds
        last: dict[str, tuple[int, int]] = {}
        refused: dict[str, tuple[tuple[int, int], str]] = {}
        while time.monotonic() < deadline:
            time.sleep(_POLL)
            now = self._stamps()
            found = []
            for name, stamp in now.items():
                # A file that still changes is still being written.
                if stamp == self._before.get(name) or stamp != last.get(name):
                    continue
                if refused.get(name, (None,))[0] == stamp:
                    continue
                try:
                    found.append((name, read(self._folder / name)))
                except DataError as error:  # another kind of file, or one that is not whole yet
                    refused[name] = (stamp, str(error))
            last = now
            if len(found) > 1:
                raise MicroscopeError(
                    f"one {what} must be saved in {self._folder}; got {', '.join(n for n, _ in found)}. "
                    "Nobody else may measure or save there during a run"
                )
            if found:
                return found[0][1]
        seen = "; ".join(text for _, text in refused.values()) or (
            f"nothing new among {len(self._before)} older files"
        )
        raise MicroscopeError(
            f"a whole {what} must be saved in {self._folder} within {seconds:g} s; got {seen}"
        )

    def _stamps(self) -> dict[str, tuple[int, int]]:
        with os.scandir(self._folder) as entries:
            found = [e for e in entries if e.name.lower().endswith(".ibw")]
            return {e.name: (e.stat().st_mtime_ns, e.stat().st_size) for e in found}


def _image(path: Path) -> Scan:
    found = read(path)
    if not isinstance(found, Scan):
        raise DataError(f"{path} must hold an image; it holds a curve")
    return found


def fitted(traces: Traces, waveform: Waveform, rail: float) -> IVCurve:
    """Pick the recorded samples nearest in time to the waveform's. None is invented.

    The software records faster than asked for, and its bias is NaN before and after the sweep.
    `rail` is the full scale of the current amplifier [A]. MicroscopeError if bias or current is
    missing, the sweep has another length or fewer samples than the waveform, or its bias is more
    than 1 % of the peak off.
    """
    bias = next((v for n, v in traces.channels.items() if n.startswith(("Bias", "Volt"))), None)
    current = next((v for n, v in traces.channels.items() if traces.units.get(n) == "A"), None)
    if bias is None or current is None:
        raise MicroscopeError(
            f"the saved curve must have a Bias and a Current; got {', '.join(traces.channels)}. Select "
            "them for saving in the DoIV panel"
        )
    during = np.flatnonzero(np.isfinite(bias))
    if during.size < len(waveform) or (np.diff(during) != 1).any():
        raise MicroscopeError(
            f"the saved sweep must have at least {len(waveform)} samples in one piece; got "
            f"{during.size} of {bias.size} with a bias. Raise the sampling rate"
        )
    clock = traces.time[during] - traces.time[during[0]]
    step = clock[1] - clock[0]
    wanted = waveform.time - waveform.time[0]
    if abs(clock[-1] - waveform.duration) > 0.02 * waveform.duration + step:
        raise MicroscopeError(
            f"the saved sweep must take {waveform.duration:g} s; it took {clock[-1]:g} s"
        )
    picked = np.clip(np.rint(wanted / step).astype(np.int64), 0, during.size - 1)
    volts, amperes = bias[during][picked], current[during][picked]
    off = float(np.abs(volts - waveform.voltage).max())
    allowed = 0.01 * waveform.peak + waveform.slew * step
    if (np.diff(picked) < 1).any() or not off <= allowed:
        raise MicroscopeError(
            f"the saved bias must follow the waveform within {allowed:.3g} V; it was {off:.3g} V off. "
            "Check function, cycles and offset in the DoIV panel"
        )
    return IVCurve(
        voltage=volts,
        current=amperes,
        time=clock[picked],
        saturated=np.abs(amperes) >= 0.999 * rail,
    )
