"""Files that an instrument's software saves. Old, truncated or other ones are rejected."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from grainscout.analysis.formats import Traces, read, read_traces
from grainscout.records import ConfigError, DataError, MicroscopeError, Scan

_POLL = 0.02  # s
_T = TypeVar("_T")


class SaveFolder:
    """The folder where the instrument's software saves files with this suffix."""

    def __init__(self, folder: str | Path, suffix: str = ".ibw") -> None:
        self._folder, self._suffix = Path(folder), suffix
        if not self._folder.is_dir():
            raise ConfigError(f"folder must be the one in which its software saves; got {folder}")
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
            found = [e for e in entries if e.name.lower().endswith(self._suffix)]
            return {e.name: (e.stat().st_mtime_ns, e.stat().st_size) for e in found}


def _image(path: Path) -> Scan:
    found = read(path)
    if not isinstance(found, Scan):
        raise DataError(f"{path} must hold an image; it holds a curve")
    return found
