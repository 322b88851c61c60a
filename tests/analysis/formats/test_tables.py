"""Tables of voltages and currents, as instruments, spreadsheets and scripts write them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from grainscout.analysis.formats import notes_of, read, read_csv
from grainscout.records import ConfigError, DataError

VOLTAGE = np.concatenate([np.linspace(0, 1, 11), np.linspace(1, 0, 11)[1:]])


def text_of(rows, header, separator=",", comma=False, end="\n"):
    cells = [[f"{v:.9g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    if comma:
        cells = [[c.replace(".", ",") for c in row] for row in cells]
    return end.join([separator.join(header), *(separator.join(row) for row in cells)]) + end


def table(tmp_path, text, name="iv.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def single(scale=1e9):
    return [[float(v), float(5e-9 * v * scale)] for v in VOLTAGE]


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "|"])
@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_and_decimal_signs(tmp_path, separator, comma, end):
    if comma and separator == ",":
        pytest.skip("a comma cannot be both")
    header = (
        ["Voltage_(V)", "Current_(nA)"] if separator == " " else ["Voltage (V)", "Current (nA)"]
    )
    data = read(table(tmp_path, text_of(single(), header, separator, comma, end)))
    np.testing.assert_allclose(data.waveform.voltage, VOLTAGE)
    np.testing.assert_allclose(data.current[0], 5e-9 * VOLTAGE, atol=1e-18)


@pytest.mark.parametrize(
    ("header", "scale"),
    [
        (("Voltage [V]", "Current [nA]"), 1e9),
        (("U/V", "I/nA"), 1e9),
        (("Bias, V", "Current, nA"), 1e9),
        (("bias_V", "current_nA"), 1e9),
        (("voltage_v", "current_na"), 1e9),
        (("V (V)", "I (fA)"), 1e15),
        (("Spannung (V)", "Strom (µA)"), 1e6),
        (("Voltage in V", "Current in pA"), 1e12),
        (("Bias (V)", "Imeas (10^-9 A)"), 1e9),
        (("Voltage (volts)", "Current (nanoamps)"), 1e9),
        (("Vsource (V)", "TipCurrent (A)"), 1.0),
    ],
)
def test_styles_of_headers_and_units(tmp_path, header, scale):
    data = read(table(tmp_path, text_of(single(scale), header, ";")))
    assert data.current.max() == pytest.approx(5e-9, rel=1e-6)
    assert data.waveform.voltage.max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("label", "step", "seconds"),
    [
        ("Time (min)", 0.1, 6.0),
        ("Timestamp (s)", 0.25, 0.25),
        ("t [ms]", 20.0, 0.02),
        ("Elapsed time (h)", 0.001, 3.6),
        ("Zeit (s)", 0.5, 0.5),
        ("Relative (us)", 100.0, 1e-4),
    ],
)
def test_time_in_any_unit_and_by_any_name(tmp_path, label, step, seconds):
    rows = [[*row, float(i * step)] for i, row in enumerate(single())]
    data = read(table(tmp_path, text_of(rows, ["V (V)", "I (nA)", label])))
    assert data.waveform.duration == pytest.approx(20 * seconds)
    assert data.metadata["time"] == "recorded"


@pytest.mark.parametrize("form", ["2024-05-01 12:00:{:06.3f}", "12:00:{:06.3f}"])
def test_dates_and_times_of_day(tmp_path, form):
    rows = [[form.format(i * 0.5), *row] for i, row in enumerate(single())]
    data = read(table(tmp_path, text_of(rows, ["Date", "V (V)", "I (nA)"], ";")))
    assert data.waveform.duration == pytest.approx(10.0)


def grid(order):
    rows = []
    for r, c in itertools.product(range(2), range(3)):
        for v in VOLTAGE:
            rows.append([*order(r, c), float(v), float(1e-9 * (1 + r + 10 * c) * v)])
    return rows


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("row", "column"), lambda r, c: (r, c)),
        (("row", "col"), lambda r, c: (r, c)),
        (("ix", "iy"), lambda r, c: (c, r)),
        (("x", "y"), lambda r, c: (c, r)),
        (("x (um)", "y (um)"), lambda r, c: (0.1 * c, 0.1 * r)),
        (("X [nm]", "Y [nm]"), lambda r, c: (500 + 100.0 * c, -300 + 100.0 * r)),
        (("x_pos (m)", "y_pos (m)"), lambda r, c: (1e-7 * c, 1e-7 * r)),
    ],
)
def test_every_site_is_a_curve_of_its_own(tmp_path, names, order):
    data = read(table(tmp_path, text_of(grid(order), [*names, "V (V)", "I (A)"])))
    assert len(data) == 6
    assert data.scan.shape == (2, 3)
    for (r, c), curve in zip(data.sites, data.current, strict=True):
        assert curve.max() == pytest.approx(1e-9 * (1 + r + 10 * c))
    if "(" in names[0] or "[" in names[0]:
        assert data.scan.pixel_size == pytest.approx((1e-7, 1e-7))


@pytest.mark.parametrize("name", ["curve", "site", "Point #", "spot", "device", "pixel", "label"])
def test_numbered_or_named_curves(tmp_path, name):
    rows = [[f"A{r}" if name == "label" else r, *line] for r in range(4) for line in single()]
    data = read(table(tmp_path, text_of(rows, [name, "V (V)", "I (nA)"])))
    assert len(data) == 4
    assert any("without positions" in note for note in notes_of(data))


@pytest.mark.parametrize("name", ["temperature zone (K)", "gate", "step index (1)", "mode"])
def test_a_column_that_may_divide_the_lines_is_refused(tmp_path, name):
    rows = [[r, *line] for r in range(4) for line in single()]
    with pytest.raises(DataError, match="divide the lines") as raised:
        read(table(tmp_path, text_of(rows, [name, "V (V)", "I (nA)"])))
    assert name in str(raised.value)


def test_another_column_is_kept_and_noted(tmp_path):
    rows = [[*row, float(300 + i * 0.01)] for i, row in enumerate(single())]
    data = read(table(tmp_path, text_of(rows, ["V (V)", "I (nA)", "Temperature (K)"])))
    np.testing.assert_allclose(data.metadata["channels"]["Temperature (K)"][0][-1], 300.2)
    assert any("Temperature" in note for note in notes_of(data))


def test_cycles_follow_in_time_or_are_chosen(tmp_path):
    rows = [[k, v, (k + 1) * i] for k in range(3) for v, i in single()]
    path = table(tmp_path, text_of(rows, ["cycle", "V (V)", "I (nA)"]))
    assert len(read(path).waveform) == 3 * VOLTAGE.size
    assert read(path, cycle=2).current.max() == pytest.approx(15e-9)
    with pytest.raises(DataError, match="cycle 3"):
        read(path, cycle=3)


@pytest.mark.parametrize(
    "comment", ["# sample A, tip 3", "% sample A", "Sample;A;tip;3", "Keithley 2400"]
)
def test_lines_above_the_header_are_kept(tmp_path, comment):
    data = read(table(tmp_path, comment + "\n\n" + text_of(single(), ["V (V)", "I (nA)"], ",")))
    assert data.current.max() == pytest.approx(5e-9)
    assert data.metadata["preamble"] == [comment]


def test_a_line_of_units_below_the_names(tmp_path):
    text = text_of(single(), ["Voltage", "Current"]).replace("Current\n", "Current\nV,nA\n")
    assert read(table(tmp_path, text)).current.max() == pytest.approx(5e-9)


LINES = text_of(single(), ["V (V)", "I (nA)"])


@pytest.mark.parametrize(
    "text",
    [
        LINES.replace("\n", ",\n"),
        LINES.replace(",", ";").replace("\n", ";\n"),
        "".join(f"{k}{',' * (k != '')}{row}\n" for k, row in enumerate(LINES.split("\n")[:-1])),
        LINES + "# end of the curve\n",
        text_of([[f"\u2212{v}", -i] for v, i in single()], ["V (V)", "I (nA)"]).replace(",-", ","),
        text_of(
            [[0, k, *r] for k, r in enumerate(single())], ["curve", "Index", "V (V)", "I (nA)"]
        ),
    ],
    ids=["commas", "semicolons", "data frame", "comment below", "minus sign", "counted lines"],
)
def test_what_programs_add_to_a_table(tmp_path, text):
    text = text.replace("0,V (V)", ",V (V)")  # a data frame's index has no name
    data = read(table(tmp_path, text))
    assert data.current.shape == (1, VOLTAGE.size)
    np.testing.assert_allclose(np.abs(data.waveform.voltage), VOLTAGE)
    np.testing.assert_allclose(data.current[0], 5e-9 * VOLTAGE, atol=1e-18)


@pytest.mark.parametrize("name", ["log10(I)", "log current", "ln|I|", "abs(I)", "current_std"])
def test_a_logarithm_or_a_size_is_no_current(tmp_path, name):
    with pytest.raises(DataError, match="logarithm or a size"):
        read(table(tmp_path, text_of(single(), ["V (V)", f"{name} (A)"])))
    both = text_of([[v, i, 1.0 + i] for v, i in single()], ["V (V)", "I (nA)", f"{name} (A)"])
    assert read(table(tmp_path, both)).current.max() == pytest.approx(5e-9)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path, encoding):
    data = read(table(tmp_path, text_of(single(1e6), ["V (V)", "I (µA)"]), encoding=encoding))
    assert data.current.max() == pytest.approx(5e-9)


@pytest.mark.parametrize("noise", [1e-5, 1e-3])
def test_voltages_that_are_read_back_differ_a_little(tmp_path, noise):
    rng = np.random.default_rng(0)
    rows = [[r, c, v + rng.normal(0, noise), i] for r, c, v, i in grid(lambda r, c: (r, c))]
    data = read(table(tmp_path, text_of(rows, ["row", "column", "V (V)", "I (A)"])))
    assert len(data) == 6
    assert data.waveform.voltage == pytest.approx(VOLTAGE, abs=3 * noise)
    assert data.metadata["voltage"].shape == (6, VOLTAGE.size)


def test_other_sweeps_at_other_sites_are_refused(tmp_path):
    rows = [[r, c, v * (1 + r), i] for r, c, v, i in grid(lambda r, c: (r, c))]
    with pytest.raises(DataError, match="same voltages"):
        read(table(tmp_path, text_of(rows, ["row", "column", "V (V)", "I (A)"])))
    with pytest.raises(DataError, match="interchanged"):
        read(table(tmp_path, text_of(rows, ["row", "column", "I (A)", "V (V)"])))


def test_an_unfinished_site_is_left_out_and_noted(tmp_path):
    rows = grid(lambda r, c: (r, c))[:-5]
    data = read(table(tmp_path, text_of(rows, ["row", "column", "V (V)", "I (A)"])))
    assert len(data) == 5
    assert any("left out" in note for note in notes_of(data))
    with pytest.raises(DataError, match="as many samples"):  # of two, neither is the usual one
        read(table(tmp_path, text_of(rows[-37:], ["row", "column", "V (V)", "I (A)"])))


@pytest.mark.parametrize("mark", ["nan", "", "NA", "--", "#N/A"])
def test_lost_currents_are_lost_samples(tmp_path, mark):
    rows = single()
    rows[4][1] = mark
    data = read(table(tmp_path, text_of(rows, ["V (V)", "I (nA)"])))
    assert np.isnan(data.current[0]).sum() == 1


def test_a_source_and_its_measured_voltage(tmp_path):
    rows = [[v, v + 1e-4, i] for v, i in single()]
    data = read(table(tmp_path, text_of(rows, ["V set (V)", "V meas (V)", "I (nA)"])))
    np.testing.assert_allclose(data.waveform.voltage, VOLTAGE)
    with pytest.raises(DataError, match="one voltage column"):
        read(table(tmp_path, text_of(rows, ["V1 (V)", "V2 (V)", "I (nA)"])))


def test_forward_and_backward_columns_make_a_loop(tmp_path):
    rows = [[float(v), float(v), float(2 * v)] for v in np.linspace(-1, 1, 21)]
    header = ["V (V)", "Current fwd (nA)", "Current bwd (nA)"]
    data = read(table(tmp_path, text_of(rows, header)))
    assert len(data.waveform) == 42
    assert data.current[0, 20:22] == pytest.approx([1e-9, 2e-9])
    assert data.waveform.voltage[[0, 20, 21, 41]] == pytest.approx([-1, 1, 1, -1])


def test_several_currents_are_chosen_by_name(tmp_path):
    rows = [[v, i, 2 * i] for v, i in single()]
    path = table(tmp_path, text_of(rows, ["V (V)", "I1 (nA)", "I2 (nA)"]))
    with pytest.raises(DataError, match=r"Choose one of them: current"):
        read(path)
    assert read(path, current="I2").current.max() == pytest.approx(10e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0,1\n1,2\n2,3\n", "header line"),
        ("V (V);I (nA)\n1.234,5;2\n2.345,6;3\n", "thousands"),
        ("V (V);I (nA)\n1,5;2.5\n2,5;3.5\n", "one decimal sign"),
        ("V (V),I (nA)\n0,1\n1,2\n\n0,1\n1,2\n", "one table"),
        ("V (V),I (nA)\n0,1\n1,two\n", "a number at 'I'"),
        ("V (mm),I (nA)\n0,1\n1,2\n", "voltage and a current"),
        ("Voltage,Current\n0,1\n1,2\n", "its unit"),
        ("V (V),I (nA)\n0,1\n1\n", "2 columns in each line"),
        ("V (V),I (nA)\n0,1\n1,2", "truncated"),
        ("V (V),I (nA)\n0,1\n", "two or more lines"),
        ("row,column,V (V),I (A)\n0,0,0,1\n0,0,1,1\n1,0,0,1\n", "as many samples"),
        ("V (V),I (A),t (s)\n0,1,0\n1,2,0\n", "increase"),
        ("n,V (V),I (A),t (s)\na,0,0,0\na,1,0,1\nb,0,0,2\nb,1,0,1\n", "increase .* in curve 2"),
        ("n,V (V),I (A),t (s)\na,0,0,0\na,1,0,1\nb,0,0,2\nb,1,0,\n", "a time in each line"),
        ("V (V),I (nA),x\n0,1,0.5\n1,2,0.5\n2,3,0.5\n", "whole numbers"),
        (
            "V (V),I (nA),x (um),y (um)\n"
            + "".join(f"{v},1,{x},0\n" for x in (0, 1, 2.5) for v in (0, 1)),
            "even grid",
        ),
    ],
)
def test_what_is_not_understood_is_named(tmp_path, text, words):
    with pytest.raises(DataError, match=rf"iv\.csv.*{words}"):
        read_csv(table(tmp_path, text))


def test_currents_of_one_size_may_be_a_short_circuit(tmp_path):
    rows = [[k, v, 10.0 * (v > 0)] for k in range(3) for v, _ in single()]
    path = table(tmp_path, text_of(rows, ["curve", "V (V)", "I (nA)"]))
    assert any("of one size" in note for note in notes_of(read(path)))
    assert read(path, rail=1e-8).saturated.any()


def test_an_option_that_does_nothing_is_refused(tmp_path):
    path = table(tmp_path, text_of(single(), ["V (V)", "I (nA)"]))
    with pytest.raises(ConfigError, match="height_unit must be left out"):
        read(path, height_unit="nm")
    with pytest.raises(ConfigError, match="cycle must be left out"):
        read(path, cycle=1)
    with pytest.raises(ConfigError, match="read options must be some of"):
        read(path, rails=1e-9)
    assert read(path, rail=2e-9).saturated.sum() > 0


def sited(change=lambda *row: row, header=("row", "column", "V (V)", "I (A)")):
    return text_of([list(change(*row)) for row in grid(lambda r, c: (r, c))], header)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (sited(lambda r, c, v, i: (r, c, v, 1e9 * i)), "a current of"),
        (sited(lambda r, c, v, i: (r, c, v, 1e-9 * i)), "a current of"),
        (sited(lambda r, c, v, i: (r, c, 1e3 * v, i)), "a bias of 1 kV"),
        (sited(lambda r, c, v, i: (r, c, v, -i)), "against the voltage"),
        (
            text_of(
                [[k, v, 1e-9 * v, v * (1 + k)] for k in (0, 1) for v in (0.0, 1.0)],
                ["n", "V (V)", "I (A)", "t (s)"],
            ),
            "differ by up to 1 s",
        ),
        (sited(header=("y (m)", "x (m)", "V (V)", "I (A)")), "a pixel of 1 m"),
        (text_of(sorted(grid(lambda r, c: (r, c))), ["row", "column", "V (V)", "I (A)"]), "sorted"),
        (
            sited(lambda r, c, v, i: (c, r, v, i), ("column", "curve", "V (V)", "I (A)")),
            "2 sweeps in column 'curve'",
        ),
    ],
)
def test_what_no_instrument_measures_is_said(tmp_path, text, said):
    assert any(said in note for note in notes_of(read(table(tmp_path, text))))


def test_usual_curves_raise_no_doubt(tmp_path):
    for sign in (1, -1):
        data = read(table(tmp_path, sited(lambda r, c, v, i, s=sign: (r, c, s * v, s * i))))
        assert not [note for note in notes_of(data) if note.endswith("?") or "sorted" in note]


@pytest.mark.parametrize("code", ["9.91e37", "-999", "32767", "-9.9e37"])
def test_a_code_is_no_current(tmp_path, code):
    lines = sited().splitlines()
    lines[30:33] = [line.rsplit(",", 1)[0] + f",{code}" for line in lines[30:33]]
    data = read(table(tmp_path, "\n".join(lines) + "\n"))
    assert int(np.isnan(data.current).sum()) == 3
    assert not data.saturated.any()
    assert any("3 samples hold" in note for note in notes_of(data))
