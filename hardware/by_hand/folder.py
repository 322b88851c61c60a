"""Points in a list, curves in a folder: for a vendor's own program, or a person."""

import re
import time
from collections.abc import Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any

from grainscout.hardware.adapters.shared import merged_signature
from grainscout.hardware.by_hand.microscope import (
    ByHandMicroscope,
    ByHandOptions,
    Point,
    save_picture,
)
from grainscout.records import ConfigError, MicroscopeError, Scan


class Folder:
    """Points in ``next.csv`` and ``next.png`` of a folder that both sides can write, curves in its ``curves``.

    By `naming` the last number in a file's name is the point's, or new files come in the points' order.
    """

    def __init__(self, folder: Path, naming: str, timeout_s: float) -> None:
        if naming not in ("number", "order"):
            raise ConfigError(f'naming must be "number" or "order"; got {naming!r}')
        self._folder, self._naming, self._timeout = folder, naming, timeout_s
        self._curves = folder / "curves"
        self._curves.mkdir(parents=True, exist_ok=True)
        self._taken = set(self._curves.iterdir())  # of an earlier run
        self.used = max((_number(p) or 0 for p in self._taken), default=0)

    def show(self, points: Sequence[Point], image: Scan, note: str) -> None:
        """Write the picture, then the list."""
        lines = [f"{p.number},{p.site.row},{p.site.column},{p.x_m:.6e},{p.y_m:.6e}" for p in points]
        text = f"# {note}\nnumber,row,column,x_m,y_m\n" + "\n".join(lines) + "\n"
        save_picture(self._folder / "next.png", points, image)
        self._write(text)

    def curve(self, point: Point) -> Path:
        """Wait for a file that no longer grows."""
        end = time.monotonic() + self._timeout
        while time.monotonic() < end:
            for path in self._new(point):
                size = path.stat().st_size
                time.sleep(0.2)
                if size and path.stat().st_size == size:
                    self._taken.add(path)
                    return path
            time.sleep(0.2)
        raise MicroscopeError(
            f"the curve of point {point.number} must be in {self._curves} within {self._timeout:g} s; "
            "there is none"
        )

    def park(self) -> None:
        """Say it in the list's place."""
        self._write(
            "# Set the bias to 0 V and withdraw the tip. There is no point to measure now.\n"
        )

    def close(self) -> None:
        """Nothing is open."""

    def _new(self, point: Point) -> list[Path]:
        new = [p for p in self._curves.iterdir() if p not in self._taken and p.is_file()]
        if self._naming == "order":
            return sorted(new, key=lambda p: (p.stat().st_mtime_ns, p.name))[:1]
        return [p for p in new if _number(p) == point.number]

    def _write(self, text: str) -> None:
        beside = self._folder / "next.csv.part"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._folder / "next.csv")


def _number(path: Path) -> int | None:
    """The last number in a file's name."""
    found = re.findall(r"\d+", path.stem)
    return int(found[-1]) if found else None


def open_batch(*, folder: str, naming: str = "number", **options: Any) -> ByHandMicroscope:
    """Write the next points to a folder and wait for the curves there. See `Folder`."""
    how = ByHandOptions(**options)
    return ByHandMicroscope(Folder(Path(folder), naming, how.timeout_s), how)


vars(open_batch)["__signature__"] = merged_signature(
    ByHandOptions, {"folder": Parameter.empty, "naming": "number"}
)
