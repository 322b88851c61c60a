"""Bytes of files, and errors that name the file."""

import contextlib
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from grainscout.records import ConfigError, DataError, GrainscoutError, regular

#: What a parser raises on a number, a type, a name or a length that is not what the format says.
_SHAPELESS: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError),
    *(RecursionError, MemoryError, EOFError, struct.error, zlib.error),
)
#: The most pixels of a picture or grid that a header may claim beyond what the file holds.
MOST_PIXELS = 1 << 24


def fault(path: Path | str, expected: str, found: str, mend: str = "") -> DataError:
    """The error of an unusable file: what it must hold, what it does, how to mend it."""
    return DataError(f"{path}: must {expected}; got {found}{f'. {mend}' if mend else ''}")


def load_bytes(path: Path | str) -> bytes:
    """A file's bytes; DataError if it cannot be read or is empty."""
    try:
        data = regular(path).read_bytes()
    except OSError as error:
        raise fault(path, "be a readable file", error.strerror or str(error)) from error
    if not data:
        raise fault(path, "hold data", "an empty file")
    return data


def load_head(path: Path | str, size: int = 64) -> bytes:
    """The first bytes of a file; DataError if it cannot be read or is empty."""
    try:
        with regular(path).open("rb") as file:
            data = file.read(size)
    except OSError as error:
        raise fault(path, "be a readable file", error.strerror or str(error)) from error
    if not data:
        raise fault(path, "hold data", "an empty file")
    return data


@contextlib.contextmanager
def intact(path: Path | str, what: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn errors of a parser, and those given, into a DataError that names the file."""
    try:
        yield
    except (*_SHAPELESS, *errors) as error:
        if isinstance(error, ConfigError) or (
            isinstance(error, DataError) and str(path) in str(error)
        ):
            raise
        if isinstance(error, GrainscoutError):
            raise DataError(f"{path}: {error}") from error
        raise fault(path, f"be an intact {what}", f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def quiet(name: str) -> Iterator[None]:
    """Silence the log of a package that tells of an error before it raises it."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


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


def refuse_namesakes(path: Path | str, names: Sequence[str]) -> None:
    """DataError for channels or columns of one name, of which one would hide the other."""
    if len(set(names)) != len(names):
        raise fault(path, "name its columns differently", ", ".join(names))


def number(path: Path | str, key: str, text: str) -> float:
    """A number in a header; DataError names the key."""
    try:
        return float(text)
    except ValueError as error:
        raise fault(path, f"have a number at {key!r}", repr(text)) from error
