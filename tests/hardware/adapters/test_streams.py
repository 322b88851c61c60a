"""The command streams in the manual are what the adapters send."""

import logging
import re
from pathlib import Path

import pytest
from lab import FILE, LAB, Lab

from grainscout.benchmarks import make_environment
from grainscout.config import load_run
from grainscout.records import Site

MANUAL = Path(__file__).parents[3] / "docs" / "manual" / "first-night.md"


def stream(lab, folder: Path, kind: str, caplog) -> list[str]:
    """Everything that one measurement at row 3, column 4, and parking, send to the instrument."""
    path = folder / "run.toml"
    path.write_text(FILE + lab.table(kind))
    settings = load_run(path)
    guard = make_environment(settings.task, settings.seed, settings.limits).microscope
    try:
        guard.scan()
        log = lab.igor.log if lab.igor is not None else lab.nanonis.log
        log.clear()
        caplog.set_level(logging.DEBUG)
        caplog.clear()
        guard.measure(Site(3, 4), settings.task.waveform.build())
        guard.park()
        messages = [r.getMessage() for r in caplog.records]
    finally:
        if hasattr(guard.microscope, "close"):
            guard.microscope.close()
    if kind == "source-meter":
        return [m.removeprefix("WRITE:") for m in messages if m.startswith("WRITE:")]
    if lab.igor is not None:
        # Sensors are read until they are still: what comes again at once is shown once.
        text = "".join(line.replace(f"{folder}/", "") + "\n" for line in log)
        return re.sub(r"((?:.*\n){1,4}?)\1+", r"\1", text).splitlines()
    return [f"{name} {' '.join(f'{v:.6g}' for v in values)}".rstrip() for name, values in log]


def rounded(text: str) -> str:
    """Numbers to twelve digits: the last ones differ between machines."""
    return re.sub(r"-?\d+\.\d{12,}", lambda found: f"{float(found[0]):.12g}", text)


@pytest.mark.parametrize("kind", [k for k in LAB if k != "asylum"])
def test_the_manual_shows_what_is_sent(tmp_path, monkeypatch, caplog, kind):
    lab = Lab(tmp_path, monkeypatch)
    try:
        sent = stream(lab, tmp_path, kind, caplog)
    finally:
        lab.close()
    page = MANUAL.read_text(encoding="utf-8")
    shown = re.search(rf"<!-- stream: {kind} -->\n```text\n(.*?)\n```", page, re.DOTALL)
    assert shown is not None
    sent = rounded("\n".join(sent)).splitlines()
    first, dots, last = rounded(shown[1]).partition("\n...\n")
    if not dots:
        assert "\n".join(sent) == first
        return
    head, tail = first.splitlines(), last.splitlines()
    assert sent[: len(head)] == head
    assert sent[-len(tail) :] == tail
