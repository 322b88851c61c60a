"""What a person says about a file that the file does not say, or says twice."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from grainscout.analysis.formats.files import fault, number
from grainscout.records import ConfigError, DataError


class ReadOptions(TypedDict, total=False):
    """Options of `read`; one that does nothing for a file is refused."""

    rail: float | None  #: Full scale of the current amplifier [A], for curves
    channel: str | None  #: Name of the image that is the topography, or that policies look at
    current: str | None  #: Name of the channel that holds the curves
    cycle: int | None  #: Number of the sweep to take where each site has several; 0 is the first
    pixel_nm: float | None  #: Pixel size [nm] instead of the file's
    height_unit: str | None  #: Unit of the topography where the file says none, such as ``"nm"``
    #: First row, first column, rows and columns of the image to use
    crop_px: tuple[int, int, int, int] | None


class Asked:
    """The options of one reading, the notes made on the way, and which options were used."""

    def __init__(self, path: Path | str, options: Mapping[str, Any]) -> None:
        unknown = set(options) - set(get_type_hints(ReadOptions))
        if unknown:
            raise ConfigError(
                f"read options must be some of {', '.join(get_type_hints(ReadOptions))}; got "
                f"{', '.join(sorted(unknown))}"
            )
        self.path = path
        self.notes: list[str] = []
        #: What the file cuts off: its name -> how much is there, and the crop that holds this.
        self.cut: dict[str, tuple[str, list[int] | None]] = {}
        self._options = {k: v for k, v in options.items() if v is not None}
        self._used: set[str] = set()
        pixel = self._options.get("pixel_nm", 1.0)
        if not 0 < pixel < float("inf"):
            raise ConfigError(f"pixel_nm must be > 0 nm; got {pixel}")

    def take(self, name: str) -> Any:
        """The value of an option that has an effect here; None if it was not given."""
        self._used.add(name)
        return self._options.get(name)

    def note(self, text: str) -> None:
        """Keep a sentence about what was assumed, filled or left out."""
        if text not in self.notes:
            self.notes.append(text)

    def fault(self, expected: str, found: str, mend: str = "") -> DataError:
        """The error of this file: what it must hold, what it does, how to mend it."""
        return fault(self.path, expected, found, mend)

    def number(self, key: str, text: str) -> float:
        """A number in the file's header; DataError names the key."""
        return number(self.path, key, text)

    def refuse_idle(self, kind: str) -> None:
        """Refuse options that had no effect; ConfigError names them."""
        idle = sorted(set(self._options) - self._used)
        if idle:
            raise ConfigError(
                f"{self.path}: {', '.join(idle)} must be left out: {'it has' if len(idle) == 1 else 'they have'} "
                f"no effect on {kind}"
            )


def library(name: str, extra: str, path: Path | str) -> Any:
    """A package that reads a format; ConfigError names the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{path}: reading this format needs the package {name.partition('.')[0]}; install it with "
            f"pip install 'grainscout[{extra}]'"
        ) from error
