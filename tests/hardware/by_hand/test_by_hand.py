"""Points go out to a folder or a page, curves come back in files, and a run is whole."""

import csv
import os
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from grainscout.analysis.formats import write_gwy
from grainscout.hardware.by_hand import page
from grainscout.hardware.by_hand.folder import Folder
from grainscout.hardware.by_hand.microscope import Point, on_waveform
from grainscout.journal import Journal
from grainscout.records import DataError, IVCurve, MicroscopeError, Site, Waveform
from grainscout.simulator import PRESETS, Film

RUN = """
[policy]
name = "random"
[task]
curves = 4
batch = 2
window_px = 4
waveform = { kind = "triangle", peak_V = 1.0, samples = 31, duration_s = 1.0 }
[task.microscope]
"""


@pytest.fixture
def folder(tmp_path):
    scan = Film.generate(PRESETS["tiny"], 3).scan()
    write_gwy(scan, tmp_path / "image.gwy")
    return tmp_path


def sweep_file(path: Path, volts: float = 1.0) -> None:
    """A curve as an instrument saves it: its own number of samples."""
    wave = Waveform.triangle(volts, 101)
    rows = zip(wave.time, wave.voltage, 1e-9 * wave.voltage, strict=True)
    text = "time [s],bias [V],current [A]\n" + "".join(f"{t},{v},{i}\n" for t, v, i in rows)
    path.with_suffix(".part").write_text(text)
    path.with_suffix(".part").rename(path)


def outcomes(path: Path):
    with Journal.read(path) as journal:
        return journal.outcomes()


def run(folder: Path, table: str, grainscout):
    (folder / "run.toml").write_text(RUN + table)
    return grainscout("run", folder / "run.toml")


def test_a_batch_is_listed_and_its_curves_are_taken_as_they_come(folder, grainscout):
    shown, notes = [], []

    def vendor():
        place = folder / "exchange"
        for number in range(1, 5):
            while True:
                time.sleep(0.05)
                lines = (
                    (place / "next.csv").read_text().splitlines()
                    if (place / "next.csv").exists()
                    else []
                )
                points = list(csv.DictReader(lines[1:]))
                if points and points[0]["number"] == str(number):
                    break
            shown.append(len(points))
            notes.append(lines[0])
            assert (place / "next.png").stat().st_size > 1000
            sweep_file(place / "curves" / f"IV_{number:04d}.csv", 1.0 if number != 3 else 0.5)

    person = threading.Thread(target=vendor, daemon=True)
    person.start()
    table = (
        'kind = "batch"\noptions = { folder = "exchange", image = "image.gwy", timeout_s = 30 }\n'
    )
    status, said, _ = run(folder, table, grainscout)
    person.join(5)
    assert status == 0, said
    assert shown == [2, 1, 2, 1]  # a batch's points at once
    assert ["was not taken" in note for note in notes] == [False, False, False, True]
    got = outcomes(folder / "run.gsj")
    assert [o.status for o in got] == ["ok", "ok", "failed", "ok"]
    assert "must be a curve of this sweep" in got[2].message
    assert np.allclose(got[0].curve.current, 1e-9 * got[0].curve.voltage)
    assert "withdraw the tip" in (folder / "exchange" / "next.csv").read_text()


def test_a_page_asks_a_person_and_nobody_without_its_key(folder, grainscout, monkeypatch):
    addresses, refused = [], []
    made = page.Page.__init__

    def noted(self, *args):
        made(self, *args)
        addresses.append(self.address)

    monkeypatch.setattr(page.Page, "__init__", noted)

    def call(url, data=None, **headers):
        with urllib.request.urlopen(
            urllib.request.Request(url, data, headers), timeout=5
        ) as answer:
            return answer.read().decode()

    def person():
        while not addresses:
            time.sleep(0.05)
        (address,) = addresses
        sweep_file(folder / "curve.csv")
        key = address.split("/")[3]
        for bad, headers in ((address.replace(key, "x"), {}), (address, {"Host": "evil.org"})):
            try:
                call(bad, **headers)
            except urllib.error.HTTPError as error:
                refused.append(error.code)
        for number in map(str, range(1, 5)):
            while call(address + "number") != number:
                time.sleep(0.05)
            assert f"Point {number}: row" in call(address)
            assert len(call(address + "page.js")) > 100
            if number == "2":
                call(f"{address}failed?number=2", b"")
                continue
            call(
                f"{address}curve?number={number}&name=../a.csv", (folder / "curve.csv").read_bytes()
            )

    hand = threading.Thread(target=person, daemon=True)
    hand.start()
    status, said, _ = run(
        folder, 'kind = "person"\noptions = { image = "image.gwy", timeout_s = 30 }\n', grainscout
    )
    assert status == 0, said
    assert refused == [403, 403]
    assert [o.status for o in outcomes(folder / "run.gsj")] == ["ok", "failed", "ok", "ok"]


@pytest.mark.parametrize("naming", ["number", "order"])
def test_a_folder_gives_a_points_own_new_and_whole_file(tmp_path, monkeypatch, naming):
    curves = tmp_path / "curves"
    curves.mkdir()
    (curves / "IV_0007.csv").write_text("of an earlier run")
    folder = Folder(tmp_path, naming, timeout_s=5.0)
    assert folder.used == 7
    for age, name in enumerate(("IV_0009.csv", "IV_0008.csv")):
        (curves / name).write_text("begun, ")
        os.utime(curves / name, (1000 + age, 1000 + age))
    first, grown = ("IV_0008.csv", "IV_0009.csv")[:: 1 if naming == "number" else -1], []

    def grow(seconds):
        if len(grown) < 2:
            grown.append(seconds)
            with (curves / first[0]).open("a") as file:
                file.write("more, ")
            os.utime(curves / first[0], (1000, 1000))

    monkeypatch.setattr(time, "sleep", grow)
    for name, number in zip(first, (8, 9), strict=True):
        path = folder.curve(Point(number, Site(0, 0), 0.0, 0.0))
        assert path.name == name
        assert (curves / first[0]).read_text() == "begun, more, more, "  # not before it was whole
    monkeypatch.undo()
    with pytest.raises(MicroscopeError, match=r"within 0\.1 s; there is none"):
        Folder(tmp_path, naming, timeout_s=0.1).curve(Point(8, Site(0, 0), 0.0, 0.0))


@pytest.mark.parametrize(
    ("what", "headers", "status"),
    [
        ("curve?number=2", {}, 409),  # another point's
        ("curve?number=1", {"Origin": "http://evil.org"}, 403),
        ("curve?number=1", {"Content-Length": "99999999999"}, 413),
        ("other?number=1", {}, 404),
        ("curve?number=1", {}, 200),
    ],
)
def test_the_page_takes_the_curve_that_it_asks_for_from_itself_alone(folder, what, headers, status):
    scan, served = Film.generate(PRESETS["tiny"], 3).scan(), page.Page(1.0)
    point = Point(1, Site(2, 3), 0.0, 0.0)
    try:
        served.show([point], scan, "a note")
        request = urllib.request.Request(served.address + what, b"1,2", headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                got = answer.status
        except urllib.error.HTTPError as error:
            got = error.code
        assert got == status
        if status == 200:
            assert served.curve(point).read_bytes() == b"1,2"
    finally:
        served.close()


def test_a_curve_is_put_on_the_waveform_along_its_way():
    wave, fine = Waveform.triangle(1.0, 11), Waveform.triangle(1.0, 1001)
    loop = np.where(fine.time < fine.duration / 2, 1.0, 2.0) * fine.voltage
    got = on_waveform(IVCurve(voltage=fine.voltage, current=loop, time=fine.time), wave, "x")
    assert np.allclose(got.current[:5], wave.voltage[:5])
    assert np.allclose(got.current[6:], 2 * wave.voltage[6:], atol=1e-6)
    up = np.linspace(0, 1, 50)
    with pytest.raises(DataError, match="curve of this sweep"):
        on_waveform(IVCurve(voltage=up, current=up, time=up), wave, "x")
