"""Fuzzing that looks where its inputs get to, for what reads foreign bytes in Python.

`python tests/stress/guided.py TARGET FOLDER [-max_total_time=600 ...]`: inputs that reach new code are kept in FOLDER and
changed further, by atheris (`pip install atheris`; Linux).  What follows are libFuzzer's options.  It ends with the input that
gave a traceback, took longer than 10 s or more than 2 GB; with that file in the place of FOLDER it is repeated.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import atheris

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / d) for d in (".", "hardware", "benchmarks", "analysis/formats")]

with atheris.instrument_imports(include=["grainscout", "igor2", "tomllib", "json"]):
    from damage import write_run
    from rigs_formats import corpus, with_checksum
    from rigs_frames import understood
    from rigs_fuzz import refused
    from test_frames import requests
    from test_fuzz import RUN, reads, toml

    from grainscout.config import load_run
    from grainscout.journal import salvage
    from grainscout.records import pack, unpack

_BETWEEN = b"\xff\xfe"  # of frames; no text has it


def targets(folder):
    """What takes bytes and says what was lost, and good inputs of it, by name."""

    def of_file(name, look):
        place = folder / name

        def case(data):
            place.write_bytes(data)
            return refused(lambda: look(place))

        return case

    write_run(folder / "good.gsj", curves=3)
    state = pack({"a": [1.5, None, "x"], "b": {"c": True, "d": float("nan")}})
    head, of_digest = state[:5], lambda data: hashlib.sha256(data).digest() + data
    found = {
        "run": (of_file("x.toml", load_run), [toml(RUN)]),
        "frames": (
            lambda data: refused(lambda: understood(data.split(_BETWEEN))),
            [_BETWEEN.join(map(bytes, frames)) for frames in requests()],
        ),
        "state": (lambda data: refused(lambda: unpack(head + of_digest(data))), [state[37:]]),
        "salvage": (of_file("a.gsj", salvage), [(folder / "good.gsj").read_bytes()]),
    }
    for kind, goods in corpus(folder).items():
        if kind != "h5":
            found[kind] = reads(folder / f"case.{kind}"), goods
    judge, waves = found["ibw"]
    found["ibw"] = lambda d: judge(with_checksum(d) if len(d) > 384 else d), waves
    return found


def main():
    """Fuzz one target until something is found or the time is over."""
    with tempfile.TemporaryDirectory() as scratch:
        known = targets(Path(scratch))
        if len(sys.argv) < 3 or sys.argv[1] not in known:
            sys.exit(f"{__doc__}\nTargets: {', '.join(known)}")
        where, (case, goods) = Path(sys.argv[2]), known[sys.argv[1]]
        if not where.is_file():
            where.mkdir(parents=True, exist_ok=True)
            for k, good in enumerate(goods):
                (where / f"good-{k}").write_bytes(good)

        def one(data):
            assert not (found := case(data)), found

        options = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=200000", *sys.argv[3:]]
        atheris.Setup([sys.argv[0], *options, str(where)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
