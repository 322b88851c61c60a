"""Formats on small files written here by hand, byte by byte, and on damaged ones."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from grainscout.analysis import formats
from grainscout.analysis.formats import Recording, find_rails, read
from grainscout.records import DataError, Scan, Site, Waveform

HEADER = """Grid dim="{columns} x {rows}"
Grid settings={settings}
Sweep Signal="{signal}"
Fixed parameters="Sweep Start;Sweep End"
Experiment parameters="X (m);Y (m);Z (m);Settling time (s);Integration time (s)"
# Parameters (4 byte)=7
Experiment size (bytes)={size}
Points={points}
Channels="{channels}"
Delay before measuring (s)=1.000000E-2
:HEADER_END:
"""


def grid_file(
    path: Path,
    *,
    rows: int = 3,
    columns: int = 4,
    points: int = 6,
    angle: float = 30.0,
    stop: int | None = None,
    fill: float | None = None,
    downwards: bool = False,
    xy: bool = True,
    signal: str = "Bias (V)",
) -> np.ndarray:
    """Write a grid whose Z and first current both count the points; the (x, y) of each point."""
    centre, size = np.array([1e-6, 2e-6]), (4e-8, 6e-8)
    turn = math.radians(angle)
    # Nanonis: Y up, positive angles clockwise.
    fast = np.array([math.cos(turn), -math.sin(turn)]) * size[0] / columns
    up = np.array([math.sin(turn), math.cos(turn)]) * size[1] / rows * (-1 if downwards else 1)
    blocks, places = [], []
    for k in range(rows * columns):
        line, column = divmod(k, columns)
        place = centre + fast * (column - (columns - 1) / 2) + up * (line - (rows - 1) / 2)
        places.append(place)
        if xy:
            head = [-1.0, 2.0, *place, 1e-9 * k, 0.01, 0.002]
        else:
            head = [-1.0, 2.0, 0, 0, 1e-9 * k, 0.01, 0.002]
        sweep = 1e-9 * k + 1e-12 * np.arange(points)
        blocks.append(np.concatenate([head, sweep]))
    table = np.array(blocks)
    if stop is not None:
        if fill is None:
            table = table[:stop]
        else:
            table[stop:] = fill
    text = HEADER.format(
        rows=rows,
        columns=columns,
        points=points,
        signal=signal,
        size=4 * points,
        channels="Current (A)",
        settings=f"{centre[0]};{centre[1]};{size[0]};{size[1]};{angle}",
    )
    if not xy:
        text = text.replace("X (m);Y (m)", "A (m);B (m)")
    path.write_bytes(text.replace("\n", "\r\n").encode() + table.astype(">f4").tobytes())
    return np.array(places)


# Without X and Y a grid is taken to run upwards, as the format says.
@pytest.mark.parametrize(("downwards", "xy"), [(False, True), (True, True), (False, False)])
def test_grid_orientation(tmp_path, downwards, xy):
    places = grid_file(tmp_path / "g.3ds", downwards=downwards, xy=xy)
    grid = read(tmp_path / "g.3ds")
    number = np.rint(grid.scan.height * 1e9).astype(int)
    expected = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(number, expected if downwards else expected[::-1])
    # Curves, heights and metres agree at every site: y is -Y.
    for site in map(tuple, grid.sites):
        k = number[site]
        assert grid.curve(Site(*site)).current[0] == pytest.approx(1e-9 * k, abs=1e-15)
        x, y = grid.scan.position(Site(*site))
        assert (x, -y) == pytest.approx(tuple(places[k]), abs=2e-13)
    assert grid.scan.angle == pytest.approx(math.radians(30), abs=1e-4)
    assert grid.scan.pixel_size == pytest.approx((2e-8, 1e-8), rel=1e-4)


@pytest.mark.parametrize("fill", [None, 0.0, np.nan])
def test_an_aborted_grid_lists_what_it_lacks(tmp_path, fill):
    grid_file(tmp_path / "g.3ds", stop=10, fill=fill)  # two lines and two points of the third
    grid = read(tmp_path / "g.3ds")
    assert grid.scan.shape == (2, 4)
    np.testing.assert_array_equal(np.rint(grid.scan.height * 1e9), [[4, 5, 6, 7], [0, 1, 2, 3]])
    assert grid.metadata["unrecorded"].tolist() == [[2, 2], [2, 3]]
    assert grid.metadata["left_out"].tolist() == [[2, 0], [2, 1]]


def test_an_aborted_grid_without_a_line_is_refused(tmp_path):
    grid_file(tmp_path / "g.3ds", stop=3)
    with pytest.raises(DataError, match="one complete line"):
        read(tmp_path / "g.3ds")


def test_a_sweep_over_something_else_is_refused(tmp_path):
    grid_file(tmp_path / "g.3ds", signal="Z (m)")
    with pytest.raises(DataError, match="sweep signal in V"):
        read(tmp_path / "g.3ds")


def test_positions_off_the_grid_are_refused(tmp_path):
    grid_file(tmp_path / "g.3ds")
    data = bytearray((tmp_path / "g.3ds").read_bytes())
    start = data.index(b":HEADER_END:\r\n") + 14 + 5 * (7 + 6) * 4 + 8
    data[start : start + 4] = struct.pack(">f", 1.5e-6)  # X of point 5
    (tmp_path / "g.3ds").write_bytes(data)
    with pytest.raises(DataError, match="rectangular grid"):
        read(tmp_path / "g.3ds")


def test_the_converters_last_steps_are_no_rail():
    rng = np.random.default_rng(0)
    noise = np.round(rng.normal(0, 0.7, (40, 100))) * 1e-12  # a contact that carries nothing
    assert not find_rails(noise).any()
    steady = np.where(noise > 0, 1e-12, 0.0)
    steady[3, 10:20] = 1e-12
    assert not find_rails(steady).any()
    # The same converter at its rail, 2048 steps from zero.
    rail = noise.copy()
    rail[5, 40:60] = 2048e-12
    assert find_rails(rail).sum() == 20
    # A current that never moves from one value other than zero is a rail, or as good as one.
    assert find_rails(np.full((1, 300), 1e-8)).all()
    assert not find_rails(np.zeros((1, 300))).any()


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"hello", b"\x89PNG\r\n\x1a\n", b"\x05\x00" * 40]
)
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.bin"):
        read(path)
    with pytest.raises(DataError):
        read(tmp_path / "absent.gwy")
    with pytest.raises(DataError):
        read(tmp_path)


def samples(folder: Path) -> dict[str, bytes]:
    """One small intact file of each format."""
    rng = np.random.default_rng(0)
    scan = Scan(channels={"height": rng.normal(size=(3, 4))}, pixel_size=(1e-8, 2e-8))
    grid = Recording(
        scan=scan,
        sites=np.argwhere(np.ones((3, 4), bool)),
        waveform=Waveform.triangle(1.0, 5, 1.0),
        current=rng.normal(size=(12, 5)),
    )
    formats.write_nsid(grid, folder / "a.h5")
    formats.write_gwy(scan, folder / "a.gwy")
    formats.write_csv(grid, folder / "a.csv")
    (folder / "a.ibw").write_bytes(wave(np.arange(12.0).reshape(3, 4)))
    return {s: (folder / f"a{s}").read_bytes() for s in (".h5", ".gwy", ".csv", ".ibw")}


def wave(image: np.ndarray) -> bytes:
    """An Igor binary wave (version 5, TN003) of image[x, y] as float32, with a note."""
    note = b"ScanSize: 1e-6\rImagingMode: Contact"
    data = image.astype("<f4").tobytes(order="F")
    header = struct.pack("<hh", 5, 0) + struct.pack(
        "<15i", 320 + len(data), 0, len(note), 0, *[0] * 4, *[0] * 4, 0, 0, 0
    )
    body = bytearray(320)
    struct.pack_into("<ih", body, 12, image.size, 2)
    struct.pack_into("<4i", body, 68, *image.shape, *[0] * (4 - image.ndim))
    struct.pack_into("<4d", body, 84, 1e-9, 2e-9, 1.0, 1.0)
    head = bytearray(header + bytes(body))
    # The checksum makes the sum of the first 384 bytes, as 16-bit words, zero.
    total = sum(struct.unpack("<192h", head))
    struct.pack_into("<h", head, 2, ((-total + 2**15) % 2**16) - 2**15)
    return bytes(head) + data + note


def test_a_wave_written_by_hand(tmp_path):
    image = np.arange(12.0).reshape(3, 4)
    (tmp_path / "w.ibw").write_bytes(wave(image))
    scan = read(tmp_path / "w.ibw")
    np.testing.assert_array_equal(scan.channels["layer 0"], image[:, ::-1].T)
    assert scan.pixel_size == pytest.approx((2e-9, 1e-9))
    assert scan.metadata["note"]["ImagingMode"] == "Contact"


@pytest.mark.parametrize("suffix", [".h5", ".gwy", ".csv", ".ibw"])
def test_a_file_that_is_cut_anywhere_is_refused_by_name(tmp_path, suffix):
    whole, path = samples(tmp_path)[suffix], tmp_path / f"broken{suffix}"
    for at in np.random.default_rng(0).integers(0, len(whole), 40):
        path.write_bytes(whole[:at])
        with pytest.raises(DataError, match="broken"):
            read(path)
