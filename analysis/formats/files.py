"""What every reader needs: bytes, errors that name the file, units."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from grainscout.records import DataError, GrainscoutError

#: What a parser raises on a number, a type, a name or a length that is not what the format says.
_SHAPELESS: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, KeyError, IndexError),
    *(OverflowError, RecursionError),
)
#: The most pixels of a picture or grid that a header may claim beyond what the file holds.
MOST_PIXELS = 1 << 24
#: Decimal prefixes of SI, with both micro signs and the ASCII "u".
_PREFIX = {"": 1.0, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "k": 1e3}
_UNIT = re.compile(r"^(p|n|u|µ|μ|m|k|)(m|A|V|s|Hz|N)$")
_NAMED = re.compile(r"^\s*(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*(.*?)\s*$")


def fault(path: Path | str, expected: str, found: str, mend: str = "") -> DataError:
    """The error of an unusable file: what it must hold, what it does, how to mend it."""
    return DataError(f"{path}: must {expected}; got {found}{f'. {mend}' if mend else ''}")


def load_bytes(path: Path | str) -> bytes:
    """A file's bytes; DataError if it cannot be read or is empty."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise fault(path, "be a readable file", error.strerror or str(error)) from error
    if not data:
        raise fault(path, "hold data", "an empty file")
    return data


def load_head(path: Path | str, size: int = 64) -> bytes:
    """The first bytes of a file; DataError if it cannot be read or is empty."""
    try:
        with open(path, "rb") as file:
            data = file.read(size)
    except OSError as error:
        raise fault(path, "be a readable file", error.strerror or str(error)) from error
    if not data:
        raise fault(path, "hold data", "an empty file")
    return data


@contextlib.contextmanager
def intact(path: Path | str, what: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what a damaged file makes of a parser into a DataError that names the file.

    errors : what the library behind the reader raises beside `_SHAPELESS`.
    """
    try:
        yield
    except (*_SHAPELESS, *errors) as error:
        if isinstance(error, DataError) and str(path) in str(error):
            raise
        if isinstance(error, GrainscoutError):
            raise DataError(f"{path}: {error}") from error
        raise fault(path, f"be an intact {what}", f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def fresh_file(path: Path | str, *, overwrite: bool) -> Iterator[Path]:
    """A name to write to beside `path`, moved there once it is written; DataError if `path` exists."""
    target = Path(path)
    if target.exists() and not overwrite:
        raise fault(path, "be a new file", "an existing one", "Give overwrite=True to replace it")
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise fault(path, "be writable", error.strerror or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def si(unit: str) -> tuple[float, str]:
    """Factor to SI and the SI unit; an unknown unit comes back unchanged with the factor 1."""
    match = _UNIT.match(unit.strip())
    return (_PREFIX[match[1]], match[2]) if match else (1.0, unit.strip())


def split_name(label: str) -> tuple[str, str]:
    """("Current [bwd]", "A") of "Current [bwd] (A)" and of "Current (A) [bwd]"; unit "" if none."""
    units = re.findall(r"\(([^()]*)\)", label)
    if units:
        rest = re.sub(r"\s+", " ", label.replace(f"({units[-1]})", " ")).strip()
        return rest, units[-1].strip()
    match = _NAMED.match(label)
    return (match[1], match[2]) if match and not match[3] else (label.strip(), "")


def number(path: Path | str, key: str, text: str) -> float:
    """A number in a header; DataError names the key."""
    try:
        return float(text)
    except ValueError as error:
        raise fault(path, f"have a number at {key!r}", repr(text)) from error
