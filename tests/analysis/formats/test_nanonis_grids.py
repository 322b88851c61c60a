"""Nanonis grids and spectra: segments, cycles, lines, and files that were stopped or copied too soon."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grainscout.analysis.formats import notes_of, read
from grainscout.records import DataError, Site

SEGMENTS = (
    "Segment Start (V), Segment End (V), Settling (s), Integration (s), Steps (xn), Lockin, "
    "Init. Settling (s)"
)


def grid(
    path,
    *,
    shape=(3, 5),
    points=11,
    channels=("Current (A)",),
    segments=None,
    size=(5e-7, 3e-7),
    ends=(-1.0, 1.0),
    filetype="Linear",
    stop=None,
    cut=0,
    spoil=None,
    angle=0.0,
    downwards=False,
    xy=True,
    signal="Bias (V)",
    places=None,
):
    """Write a grid whose current is 1 nA times the point's number and the sample's.

    Nanonis: Y up, positive angles clockwise.  Without `xy` no point says where it is [m]; `places` is told.
    """
    rows, columns = shape
    turn, centre = math.radians(angle), np.array([2e-7, 1e-7])
    header = {
        "Grid dim": f'"{columns} x {rows}"',
        "Grid settings": f"2E-7;1E-7;{size[0]};{size[1]};{angle}",
        "Filetype": filetype,
        "Sweep Signal": f'"{signal}"',
        "Fixed parameters": '"Sweep Start;Sweep End"',
        "Experiment parameters": f'"{"X (m);Y" if xy else "A (m);B"} (m);Z (m);Settling time (s);Integration time (s)"',
        "# Parameters (4 byte)": "7",
        "Points": points,
        "Channels": f'"{";".join(channels)}"',
    }
    if segments:
        header[SEGMENTS] = ";".join(",".join(map(str, (*s, 0, 0))) for s in segments)
    steps = (size[0] / columns, (size[1] or size[0] / columns) / rows)
    fast = np.array([math.cos(turn), -math.sin(turn)]) * steps[0]
    slow = np.array([math.sin(turn), math.cos(turn)]) * steps[1] * (-1 if downwards else 1)
    blocks = []
    for k in range(rows * columns):
        line, column = divmod(k, columns)
        place = centre + fast * (column - (columns - 1) / 2) + slow * (line - (rows - 1) / 2)
        if places is not None:
            places.append(place)
        head = [*ends, *(place if xy else (0, 0)), 1e-9 * k, 0.005, 0.02]
        sweeps = [(k + 1) * 1e-9 * (np.arange(points) + 100 * i) for i in range(len(channels))]
        blocks.append(np.concatenate([head, *sweeps]))
    table = np.array(blocks)[:stop]
    if spoil:
        spoil(table)
    body = table.astype(">f4").tobytes()
    text = "".join(f"{k}={v}\r\n" for k, v in header.items()) + ":HEADER_END:\r\n"
    path.write_bytes(text.encode() + body[: len(body) - cut])
    return path


# Without X and Y a grid is taken to run upwards, as the format says.
@pytest.mark.parametrize(("downwards", "xy"), [(False, True), (True, True), (False, False)])
def test_rows_run_down_and_curves_heights_and_metres_agree(tmp_path, downwards, xy):
    places, form = [], {"angle": 30.0, "downwards": downwards, "xy": xy}
    data = read(grid(tmp_path / "g.3ds", **form, places=places))
    number = np.rint(data.scan.height * 1e9).astype(int)
    expected = np.arange(15).reshape(3, 5)
    np.testing.assert_array_equal(number, expected if downwards else expected[::-1])
    for site in map(tuple, data.sites):
        k = number[site]
        assert data.curve(Site(*site)).current[1] == pytest.approx(1e-9 * (k + 1), rel=1e-6)
        x, y = data.scan.position(Site(*site))
        assert (x, -y) == pytest.approx(tuple(places[k]), abs=2e-13)
    assert data.scan.angle == pytest.approx(math.radians(30), abs=1e-4)
    assert data.scan.pixel_size == pytest.approx((1e-7, 1e-7), rel=1e-4)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    turns=st.lists(st.sampled_from([-1.0, -0.4, 0.0, 0.3, 1.0]), min_size=2, max_size=6).filter(
        lambda t: all(a != b for a, b in itertools.pairwise(t))
    ),
    steps=st.lists(st.integers(2, 9), min_size=5, max_size=5),
    times=st.lists(st.sampled_from([0.001, 0.01]), min_size=5, max_size=5),
    once=st.booleans(),
    backward=st.booleans(),
)
def test_segments_give_voltages_and_times(tmp_path_factory, turns, steps, times, once, backward):
    segments = [
        (a, b, 0.002, t, n) for a, b, n, t in zip(turns, turns[1:], steps, times, strict=False)
    ]
    parts = [
        (np.linspace(a, b, n)[1 if once and i else 0 :], s + t)
        for i, (a, b, s, t, n) in enumerate(segments)
    ]
    volts = np.concatenate([v for v, _ in parts])
    each = np.concatenate([np.full(v.size, t) for v, t in parts])
    channels = ["Current (A)", *(["Current [bwd] (A)"] if backward else [])]
    path = tmp_path_factory.mktemp("mls") / "g.3ds"
    grid(path, points=volts.size, segments=segments, channels=channels, filetype="MLS", ends=(0, 0))
    data = read(path)
    if backward:
        volts, each = np.concatenate([volts, volts[::-1]]), np.concatenate([each, each[::-1]])
    np.testing.assert_allclose(data.waveform.voltage, volts, atol=1e-12)
    np.testing.assert_allclose(np.diff(data.waveform.time), each[1:])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"filetype": "MLS"}, "table of its segments"),
        ({"ends": (0.0, 0.0)}, "sweep a voltage between"),
        ({"segments": [(0, 1, 0.1, 0.1, 5)], "filetype": "MLS"}, "5 or 5 points"),
        ({"segments": [(0, 1, 0.1, 0.1, 2.5)]}, "1 or more steps"),
        ({"segments": [(0, "x", 0.1, 0.1, 11)]}, "a number"),
        ({"signal": "Z (m)"}, "sweep signal in V"),
        ({"stop": 3}, "one complete line"),
        ({"spoil": lambda table: np.put(table[5], 2, 1.5e-6)}, "rectangular grid"),
    ],
)
def test_a_sweep_or_a_place_that_is_not_known_is_refused(tmp_path, options, words):
    with pytest.raises(DataError, match=words):
        read(grid(tmp_path / "g.3ds", **options))


@pytest.mark.parametrize(
    ("channels", "options", "used"),
    [
        (["Current (A)", "LI X (V)"], {}, [0]),
        (["Current [AVG] (A)", "Current [00001] (A)", "Current [00002] (A)"], {}, [0]),
        (["Current [AVG] (A)", "Current [00001] (A)", "Current [00002] (A)"], {"cycle": 1}, [2]),
        (["Current [00001] (A)", "Current [00002] (A)"], {}, [0, 1]),
        (["LI X (V)", "Input 3 (A)"], {}, [1]),
        (["Input 3 (A)", "Input 4 (A)"], {"current": "Input 4"}, [1]),
        (["Current (A)", "LI X (V)"], {"current": "LI X"}, [1]),
    ],
)
def test_which_channel_holds_the_curves(tmp_path, channels, options, used):
    data = read(grid(tmp_path / "g.3ds", channels=channels), **options)
    expected = np.concatenate([1e-9 * (np.arange(11) + 100 * i) for i in used])
    first = data.current[np.argmin(data.scan.height[tuple(data.sites.T)])]
    np.testing.assert_allclose(first, expected, rtol=1e-6)


def test_two_currents_are_not_guessed(tmp_path):
    path = grid(tmp_path / "g.3ds", channels=["Input 3 (A)", "Input 4 (A)"])
    with pytest.raises(DataError, match="Choose one of them: current"):
        read(path)


@pytest.mark.parametrize("shape", [(1, 12), (12, 1)])
@pytest.mark.parametrize("flat", [False, True])
def test_a_line_of_points(tmp_path, shape, flat):
    size = ((1.2e-7, 0.0 if flat else 5e-8), (0.0 if flat else 5e-8, 1.2e-7))[shape[0] > 1]
    if flat and shape[0] > 1:
        size = (5e-8, 1.2e-7)
    data = read(grid(tmp_path / "g.3ds", shape=shape, size=size))
    assert data.scan.shape == shape
    step = np.hypot(*np.diff(data.positions, axis=0).T)
    np.testing.assert_allclose(step, 1e-8, rtol=1e-4)


@pytest.mark.parametrize(("cut", "fill"), [(0, None), (1, None), (40, None), (0, 0.0), (0, np.nan)])
def test_a_grid_that_was_stopped_or_copied_says_what_is_missing(tmp_path, cut, fill):
    def filled(table):
        table[8:] = fill

    how = {"stop": 8} if fill is None else {"spoil": filled}
    data = read(grid(tmp_path / "g.3ds", cut=cut, **how))
    assert data.scan.shape == (1, 5)
    np.testing.assert_array_equal(np.rint(data.scan.height * 1e9), [np.arange(5)])
    left = 3 if cut == 0 else 2
    text = " ".join(notes_of(data))
    assert f"{left} recorded points are left out and {15 - 5 - left} are missing" in text
    assert ("ends within point 8" in text) == (cut > 0)


def test_one_lost_height_costs_no_curve(tmp_path):
    def spoil(table):
        table[7, 4] = np.nan

    data = read(grid(tmp_path / "g.3ds", spoil=spoil))
    assert len(data) == 15
    assert data.scan.metadata["filled"]["height"].shape == (1, 2)


def test_a_file_longer_than_its_grid_is_of_another_header(tmp_path):
    path = grid(tmp_path / "g.3ds")
    path.write_bytes(path.read_bytes() + b"\0" * 10)
    with pytest.raises(DataError, match="another file"):
        read(path)


def test_a_sweep_in_millivolts_and_a_comment_of_two_lines(tmp_path):
    path = grid(tmp_path / "a.3ds", ends=(-1000.0, 1000.0))
    data = path.read_bytes().replace(b"Bias (V)", b"Bias (mV)")
    path.write_bytes(data.replace(b"Points=", b'Comment="first\r\nsecond"\r\nPoints='))
    read_back = read(path)
    np.testing.assert_allclose(read_back.waveform.voltage, np.linspace(-1, 1, 11))
    assert read_back.metadata["header"]["Comment"] == "first\nsecond"
    assert len(read(grid(tmp_path / "b.3ds", shape=(1, 1), size=(0.0, 0.0)))) == 1


def spectrum(path, head, labels, rows):
    lines = [*(f"{k}\t{v}\t" for k, v in head), "", "[DATA]", "\t".join(labels)]
    lines += ["\t".join(f"{v:.6E}" for v in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


HEAD = [
    ("Experiment", "bias spectroscopy"),
    ("X (m)", "1E-9"),
    ("Y (m)", "2E-9"),
    ("Z (m)", "3E-9"),
]
TIMES = [("Settling time (s)", "1E-3"), ("Integration time (s)", "2E-3")]


@pytest.mark.parametrize(
    ("labels", "columns", "length"),
    [
        (["Bias calc (V)", "Current (A)"], (1, 1), 9),
        (["Bias calc (V)", "Current (A)", "Current [bwd] (A)"], (1, 1, 2), 18),
        (["Bias (V)", "Current [AVG] (A)", "Current [00001] (A)"], (1, 1, 3), 9),
        (["Bias calc (V)", "Current [AVG] (A)", "Current [AVG] [bwd] (A)"], (1, 1, 2), 18),
        (["Bias calc (mV)", "Current (nA)"], (1e3, 1e9), 9),
        (["Bias (V)", "Current (A)", "Bias [bwd] (V)", "Current [bwd] (A)"], (1, 1, 1e9, 1), 18),
        (["Bias (V)", "Current (A)", "Bias [bwd] (V)", "Current [bwd] (A)"], (1, 1, -1e9, -1), 18),
    ],
)
def test_spectra_of_one_or_more_sweeps(tmp_path, labels, columns, length):
    volts = np.linspace(-1, 1, 9)
    scale = [columns[0], *(1e-9 * c for c in columns[1:])]
    rows = np.column_stack([volts * s for s in scale])
    data = read(spectrum(tmp_path / "a.dat", HEAD + TIMES, labels, rows))
    assert len(data.waveform) == length
    assert data.current[0, 8] == pytest.approx(1e-9)
    both = [*volts, *volts[::-1]][:length]
    np.testing.assert_allclose(data.waveform.voltage, both, atol=1e-9)
    if "[bwd] (V)" in labels[-2]:
        np.testing.assert_allclose(data.current[0], 1e-9 * np.array(both), atol=1e-18)
    assert data.waveform.time[1] == pytest.approx(0.003)


def test_a_spectrum_without_times_or_place_says_what_is_assumed(tmp_path):
    rows = np.column_stack([np.linspace(-1, 1, 9), np.linspace(-1, 1, 9) * 1e-9])
    path = spectrum(tmp_path / "a.dat", HEAD[:1], ["Bias (V)", "Current (A)"], rows)
    text = " ".join(notes_of(read(path)))
    assert "1 ms is assumed" in text
    assert "X and Y are not recorded" in text


@pytest.mark.parametrize("kind", ["Oscilloscope", "Spectrum", "Z spectroscopy", "History Data"])
def test_another_experiment_is_named(tmp_path, kind):
    rows = np.column_stack([np.arange(9.0), np.arange(9.0)])
    path = spectrum(tmp_path / "a.dat", [("Experiment", kind)], ["Time (s)", "Current (A)"], rows)
    with pytest.raises(DataError, match=f"bias spectrum.*{kind}.*read_traces"):
        read(path)


def test_channels_of_one_name_do_not_hide_each_other(tmp_path):
    named = ["Current (A)", "Current (nA)"]
    with pytest.raises(DataError, match="columns differently; got Current, Current"):
        read(grid(tmp_path / "g.3ds", channels=named))
    rows = np.zeros((9, 3))
    with pytest.raises(DataError, match="columns differently"):
        read(spectrum(tmp_path / "a.dat", HEAD, ["Bias (V)", *named], rows))
