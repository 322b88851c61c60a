"""Nanonis images, written here as the format's description says, in every direction of scanning."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grainscout.analysis.formats import read, read_sxm
from grainscout.records import DataError, Site

ROWS, COLUMNS = 5, 7
#: Row 0 on top; nothing maps it on itself.  float32, as it is stored.
IMAGE = ((np.arange(ROWS)[:, None] ** 2 * 10 + np.arange(COLUMNS)) * 1e-9).astype(np.float32)
CURRENT = (-IMAGE - np.float32(1e-9)).astype(np.float32)
WIDTH, HEIGHT = 7e-7, 1e-6
CENTRE = (2e-6, -3e-6)


def sxm(
    path,
    *,
    up=False,
    angle=0.0,
    info=(("Z", "m", "both"), ("Current", "A", "both")),
    lines=ROWS,
    **header,
):
    """The instrument: it scans line by line, forward and then back, and stores what it met."""
    fields = {
        "NANONIS_VERSION": "2",
        "SCANIT_TYPE": "              FLOAT            MSBFIRST",
        "REC_DATE": " 21.11.2026",
        "SCAN_PIXELS": f"       {COLUMNS}       {ROWS}",
        "SCAN_RANGE": f"           {WIDTH:.6E}           {HEIGHT:.6E}",
        "SCAN_OFFSET": f"             {CENTRE[0]:.6E}         {CENTRE[1]:.6E}",
        "SCAN_ANGLE": f"            {angle:.3E}",
        "SCAN_DIR": "up" if up else "down",
        "BIAS": "            -1.500E-1",
        "COMMENT": "second line of grains\nbest tip",
        "DATA_INFO": "\tChannel\tName\tUnit\tDirection\tCalibration\tOffset\n"
        + "".join(
            f"\t{i}\t{n}\t{u}\t{d}\t1.000E+0\t0.000E+0\n" for i, (n, u, d) in enumerate(info)
        ),
        **header,
    }
    text = "".join(f":{k}:\n{v}\n" for k, v in fields.items()) + ":SCANIT_END:\n\n\n"
    frames = []
    for name, _, direction in info:
        scene = CURRENT if name == "Current" else IMAGE
        met = scene[::-1] if up else scene
        met = np.where(np.arange(ROWS)[:, None] < lines, met, np.float32(np.nan))
        ways = {"both": (met, met[:, ::-1]), "forward": (met,), "backward": (met[:, ::-1],)}
        frames += [w.astype(">f4").tobytes() for w in ways.get(direction, (met,))]
    path.write_bytes(text.encode("latin-1") + b"\x1a\x04" + b"".join(frames))
    return path


def place(row, column, angle):
    """x and -Y of a pixel's centre, by rotating the frame clockwise about its centre."""
    along = ((column + 0.5) / COLUMNS - 0.5) * WIDTH
    up = (0.5 - (row + 0.5) / ROWS) * HEIGHT
    turn = math.radians(angle)
    x = CENTRE[0] + along * math.cos(turn) + up * math.sin(turn)
    y = CENTRE[1] - along * math.sin(turn) + up * math.cos(turn)
    return x, -y


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("angle", [0.0, 30.0, -110.0])
def test_every_frame_is_the_right_way_round(tmp_path, up, angle):
    scan = read(sxm(tmp_path / "a.sxm", up=up, angle=angle))
    assert list(scan.channels) == ["height", "height backward", "current", "current backward"]
    for name in ("height", "height backward"):
        np.testing.assert_array_equal(scan.channels[name], IMAGE.astype(float))
    for name in ("current", "current backward"):
        np.testing.assert_array_equal(scan.channels[name], CURRENT.astype(float))
    assert scan.units["height"] == scan.units["height backward"] == "m"
    assert scan.units["current"] == "A"
    for row, column in ((0, 0), (4, 6), (0, 6), (3, 1)):
        assert scan.position(Site(row, column)) == pytest.approx(place(row, column, angle))
    assert scan.pixel_size == pytest.approx((HEIGHT / ROWS, WIDTH / COLUMNS))


def test_one_direction_and_other_channels_are_kept_with_the_header(tmp_path):
    info = (("Z", "m", "backward"), ("LI Demod 1 X", "V", "forward"), ("Phase", "deg", "forward"))
    scan = read_sxm(sxm(tmp_path / "a.sxm", info=info))
    assert dict(scan.units) == {"height": "m", "LI Demod 1 X": "V", "Phase": "deg"}
    assert scan.metadata["channel_names"]["height"] == "Z backward"
    np.testing.assert_array_equal(scan.height, IMAGE.astype(float))
    header = scan.metadata["header"]
    assert header["COMMENT"] == "second line of grains\nbest tip"
    assert float(header["BIAS"]) == -0.15


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_an_aborted_image_is_cropped_and_stays_in_its_place(tmp_path, up):
    scan = read_sxm(sxm(tmp_path / "a.sxm", up=up, angle=30.0, lines=3))
    kept = slice(2, 5) if up else slice(0, 3)
    np.testing.assert_array_equal(scan.height, IMAGE[kept].astype(float))
    assert scan.metadata["unrecorded"] == 2
    assert scan.position(Site(0, 0)) == pytest.approx(place(kept.start, 0, 30.0))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lines": 0}, "complete line"),
        ({"SCAN_DIR": "sideways"}, "up or down"),
        ({"SCANIT_TYPE": "INT LSBFIRST"}, "FLOAT MSBFIRST"),
        (
            {"SCAN_PIXELS": "7 6"},
            "2 of 6 lines of Current backward.*Whole are Z, Z backward, Current",
        ),
        ({"SCAN_PIXELS": "7 4"}, "of another file"),
        ({"SCAN_PIXELS": "7 -5"}, "1 to 32768"),
        ({"SCAN_RANGE": "1e-6"}, "2 finite numbers"),
        ({"SCAN_RANGE": "0 0"}, "pixel_size"),
        ({"SCAN_ANGLE": "nan"}, "finite"),
        ({"DATA_INFO": ""}, "DATA_INFO"),
        ({"info": (("Z", "m", "sideways"),)}, "forward, backward or both"),
        ({"info": (("Z", "m", "both"), ("Z", "m", "forward"))}, "each channel once"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, settings, words):
    with pytest.raises(DataError, match=words) as raised:
        read_sxm(sxm(tmp_path / "bad.sxm", **settings))
    assert "bad.sxm" in str(raised.value)


def test_every_cut_is_a_named_error(tmp_path):
    path = sxm(tmp_path / "a.sxm")
    whole = path.read_bytes()
    for size in range(1, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            read(path)
