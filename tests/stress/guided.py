"""Fuzzing that looks where its inputs get to, for what reads foreign bytes in Python.

`python tests/stress/guided.py TARGET FOLDER [-max_total_time=600 ...]`: inputs that reach new code are kept in FOLDER and
changed further, by atheris (`pip install atheris`; Linux).  What follows are libFuzzer's options.  It ends with the input that
gave a traceback, took longer than 10 s or more than 2 GB; with that file in the place of FOLDER it is repeated.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["grainscout", "igor2", "tomllib", "json"]):
    import rigs_frames as rig
    from damage import write_run
    from rigs_formats import corpus, with_checksum
    from rigs_fuzz import refused
    from test_frames import requests
    from test_fuzz import RUN, toml

    from grainscout.analysis.formats import read, read_traces
    from grainscout.config import load_run
    from grainscout.journal import salvage
    from grainscout.records import pack, unpack

Case = Callable[[bytes], object]
FORMATS = ("3ds", "csv", "dat", "gwy", "ibw", "sxm")
_BETWEEN = b"\xff\xfe"  # of frames; no text has it


def of_format(kind: str, folder: Path) -> tuple[Case, list[bytes]]:
    """A file of an imported format."""
    place = folder / f"case.{kind}"

    def case(data: bytes) -> str:
        if kind == "ibw" and len(data) > 384:
            data = with_checksum(bytearray(data))
        place.write_bytes(data)
        found = refused(lambda: read(place))
        if not found and kind in ("ibw", "dat", "csv"):
            found = refused(lambda: read_traces(place))
        return found

    return case, corpus(folder)[kind]


def of_run(folder: Path) -> tuple[Case, list[bytes]]:
    """An experiment's configuration."""
    place = folder / "x.toml"

    def case(data: bytes) -> str:
        place.write_bytes(data)
        return refused(lambda: load_run(place))

    return case, [toml(RUN)]


def of_frames(_: Path) -> tuple[Case, list[bytes]]:
    """A message of the link, its frames put together."""
    goods = [_BETWEEN.join(map(bytes, frames)) for frames in requests()]
    return lambda data: refused(lambda: rig.understood(data.split(_BETWEEN))), goods


def of_state(_: Path) -> tuple[Case, list[bytes]]:
    """A packed state, its checksum always right."""
    good = pack({"a": [1.5, None, "x"], "b": {"c": True, "d": float("nan")}})

    def case(data: bytes) -> str:
        return refused(lambda: unpack(good[:5] + hashlib.sha256(data).digest() + data))

    return case, [good[37:]]


def of_salvage(folder: Path) -> tuple[Case, list[bytes]]:
    """A damaged journal, whose pages are read without SQLite."""
    place = folder / "a.gsj"
    write_run(place, curves=3)
    good = place.read_bytes()

    def case(data: bytes) -> str:
        place.write_bytes(data)
        return refused(lambda: salvage(place))

    return case, [good]


def main() -> None:
    """Fuzz one target until something is found or the time is over."""
    targets = {"run": of_run, "frames": of_frames, "state": of_state, "salvage": of_salvage}
    if len(sys.argv) < 3 or sys.argv[1] not in (*targets, *FORMATS):
        sys.exit(f"{__doc__}\nTargets: {', '.join((*targets, *FORMATS))}")
    name, where = sys.argv[1], Path(sys.argv[2])
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as scratch:
        folder = Path(scratch)
        case, goods = targets[name](folder) if name in targets else of_format(name, folder)
        if not where.is_file():
            where.mkdir(parents=True, exist_ok=True)
            for k, good in enumerate(goods):
                (where / f"good-{k}").write_bytes(good)

        def one(data: bytes) -> None:
            found = case(data)
            if found:
                raise AssertionError(found)

        options = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=200000", *sys.argv[3:]]
        atheris.Setup([sys.argv[0], *options, str(where)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
