"""Grids of curves of Gwyddion, USID, NeXus and TopoStats, written here from their published layouts."""

from __future__ import annotations

import struct
from dataclasses import replace

import h5py
import numpy as np
import pytest

from grainscout.analysis.formats import Recording, notes_of, read, write_nsid
from grainscout.records import DataError
from grainscout.simulator import Film, FilmSpec

ROWS, COLUMNS = 3, 4
VOLTS = np.array([-1.0, -0.5, 0.0, 0.5])
CUBE = (
    np.arange(ROWS)[:, None, None] * 100 + np.arange(COLUMNS)[:, None] * 10 + np.arange(4)
) * 1e-9
IMAGE = CUBE[..., 0] * 3


def gwy(name, **parts):
    """A serialised Gwyddion object of texts, numbers, arrays and objects."""
    body = b""
    for key, value in parts.items():
        body += key.encode() + b"\0"
        if isinstance(value, bytes):
            body += b"o" + value
        elif isinstance(value, list):
            body += b"O" + struct.pack("<I", len(value)) + b"".join(value)
        elif isinstance(value, str):
            body += b"s" + value.encode() + b"\0"
        elif isinstance(value, int):
            body += b"i" + struct.pack("<i", value)
        elif isinstance(value, float):
            body += b"d" + struct.pack("<d", value)
        else:
            body += b"D" + struct.pack("<I", value.size) + value.astype("<f8").tobytes()
    return name.encode() + b"\0" + struct.pack("<I", len(body)) + body


def unit(text):
    return gwy("GwySIUnit", unitstr=text)


FIELD = gwy(
    "GwyDataField",
    xres=COLUMNS,
    yres=ROWS,
    xreal=0.4,
    yreal=0.6,
    xoff=1.0,
    yoff=0.0,
    si_unit_xy=unit("µm"),
    si_unit_z=unit("m"),
    data=IMAGE,
)


def test_a_gwyddion_volume_is_a_grid_over_its_voltage_with_the_image_under_it(tmp_path):
    brick = gwy(
        "GwyBrick",
        xres=COLUMNS,
        yres=ROWS,
        zres=4,
        xreal=0.4,
        yreal=0.6,
        zreal=2000.0,
        xoff=1.0,
        zoff=-1000.0,
        si_unit_x=unit("µm"),
        si_unit_y=unit("µm"),
        si_unit_z=unit("mV"),
        si_unit_w=unit("nA"),
        data=np.moveaxis(CUBE, 2, 0) * 1e9,
    )
    parts = {"/0/data": FIELD, "/0/data/title": "Topography", "/brick/0": brick}
    path = tmp_path / "a.gwy"
    path.write_bytes(b"GWYP" + gwy("GwyContainer", **parts, **{"/brick/0/title": "Current"}))
    data = read(path)
    np.testing.assert_allclose(data.waveform.voltage, VOLTS)
    np.testing.assert_allclose(data.current, CUBE.reshape(12, 4), rtol=1e-12)
    np.testing.assert_allclose(data.scan.height, IMAGE)
    assert data.scan.pixel_size == pytest.approx((2e-7, 1e-7))
    assert data.scan.origin == pytest.approx((1.05e-6, 1e-7))


def test_gwyddion_spectra_lie_on_the_pixels_of_their_image(tmp_path):
    lines = [
        gwy(
            "GwyDataLine",
            res=4,
            real=2.0,
            off=-1.0,
            data=CUBE[row, column],
            si_unit_x=unit("V"),
            si_unit_y=unit("A"),
        )
        for row, column in ((2, 1), (0, 3))
    ]
    places = np.array([0.15, 0.5, 0.35, 0.1])  # x, y from the top left corner
    spectra = gwy("GwySpectra", si_unit_xy=unit("µm"), coords=places, data=lines, title="IV")
    path = tmp_path / "a.gwy"
    path.write_bytes(b"GWYP" + gwy("GwyContainer", **{"/0/data": FIELD, "/sps/0": spectra}))
    data = read(path)
    assert data.sites.tolist() == [[2, 1], [0, 3]]
    np.testing.assert_allclose(data.current, [CUBE[2, 1], CUBE[0, 3]])
    np.testing.assert_allclose(data.waveform.voltage, VOLTS)


def usid(path, keep=slice(None), *, compound=False):
    """Positions x fast and y slow (y falls: it points up), steps of a bias."""
    row, column = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000")
        curves = CUBE.reshape(-1, 4)[keep] * 1e9
        if compound:
            curves = curves.astype([("Current", "f8"), ("Noise", "f8")])
        main = group.create_dataset("Raw_Data", data=curves)
        main.attrs.update({"quantity": "Current", "units": "nA"})
        tables = {
            "Position_Indices": np.column_stack([column, row])[keep],
            "Position_Values": np.column_stack([column * 0.1, -row * 0.2])[keep],
            "Spectroscopic_Indices": np.arange(4)[None],
            "Spectroscopic_Values": VOLTS[None],
        }
        for name, values in tables.items():
            item = group.create_dataset(name, data=values)
            place = name.startswith("P")
            item.attrs["labels"] = ["X", "Y"] if place else ["Bias"]
            item.attrs["units"] = ["um", "um"] if place else ["V"]
            main.attrs[name] = item.ref
    return path


def test_usid_is_a_grid_and_points_may_lack(tmp_path):
    data = read(usid(tmp_path / "a.h5"))
    assert isinstance(data, Recording)
    np.testing.assert_allclose(data.current, CUBE.reshape(12, 4), rtol=1e-12)
    np.testing.assert_allclose(data.waveform.voltage, VOLTS)
    assert data.scan.pixel_size == pytest.approx((2e-7, 1e-7))
    partial = read(usid(tmp_path / "b.h5", slice(0, 11)))
    assert len(partial) == 11
    assert any("1 of 12 points hold no curve" in note for note in notes_of(partial))
    fields = read(usid(tmp_path / "c.h5", compound=True), current="Current Current")
    np.testing.assert_allclose(fields.current, CUBE.reshape(12, 4), rtol=1e-12)


def nexus(path, **signals):
    with h5py.File(path, "w") as file:
        for name, (values, units, axes) in signals.items():
            group = file.create_group(f"entry/{name}")
            group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": list(axes)})
            group.create_dataset("data", data=values).attrs.update(
                {"units": units, "long_name": name}
            )
            for axis, (scale, scale_units) in axes.items():
                group.create_dataset(axis, data=scale).attrs["units"] = scale_units
    return path


def test_nexus_data_are_images_and_curves_over_named_axes(tmp_path):
    places = {"y": (np.arange(ROWS) * 20.0, "nm"), "x": (np.arange(COLUMNS) * 10.0, "nm")}
    path = nexus(
        tmp_path / "a.nxs",
        current=(CUBE * 1e12, "pA", {**places, "bias": (VOLTS * 1e3, "mV")}),
        topography=(IMAGE * 1e9, "nm", places),
        lockin=(np.zeros(3), "V", {"frequency": (np.arange(3.0), "Hz")}),
    )
    data = read(path)
    np.testing.assert_allclose(data.current, CUBE.reshape(12, 4), rtol=1e-12)
    np.testing.assert_allclose(data.scan.height, IMAGE)
    assert data.scan.pixel_size == pytest.approx((2e-8, 1e-8))
    np.testing.assert_allclose(data.waveform.voltage, VOLTS)
    assert any("lockin" in note for note in notes_of(data))


def test_an_export_says_what_it_knows_in_the_fields_of_nxspm(tmp_path):
    places = {"y": (np.arange(ROWS) * 20.0, "nm"), "x": (np.arange(COLUMNS) * 10.0, "nm")}
    data = read(nexus(tmp_path / "a.nxs", I=(CUBE, "A", {**places, "bias": (VOLTS, "V")})))
    write_nsid(data, tmp_path / "b.nxs")
    with h5py.File(tmp_path / "b.nxs") as file:
        entry = file["Measurement_000"]
        region = entry["instrument/scan_environment/scan_control/scan_region"]
        assert region["scan_range_x"][()] == pytest.approx(4e-8)
        assert region["scan_range_y"].attrs["units"] == "m"
        sweep = entry["instrument/bias_spectroscopy_environment/bias_spectroscopy/bias_sweep"]
        assert sweep["scan_region/scan_start_bias"][()] == -1.0
        assert "definition" not in entry  # NXspm asks for a vendor and a user, which nobody told
    np.testing.assert_array_equal(read(tmp_path / "b.nxs").current, data.current)


def test_topostats_is_its_levelled_image(tmp_path):
    with h5py.File(tmp_path / "a.topostats", "w") as file:
        file.update({"image": IMAGE * 1e9, "pixel_to_nm_scaling": 2.5, "filename": "a"})
    scan = read(tmp_path / "a.topostats")
    np.testing.assert_allclose(scan.height, IMAGE)
    assert scan.pixel_size == pytest.approx((2.5e-9, 2.5e-9))


def test_other_hdf5_says_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(DataError, match="TopoStats, Grainscout film; got none, with weights"):
        read(tmp_path / "a.h5")


def test_of_our_own_film_the_surface_is_read_and_nothing_of_its_truth(tmp_path):
    film = Film.generate(replace(FilmSpec(), rows=32, columns=40))
    film.save(tmp_path / "film.h5")
    scan = read(tmp_path / "film.h5")
    assert list(scan.channels) == ["height"]
    np.testing.assert_array_equal(scan.height, film.height)
    assert scan.pixel_size == pytest.approx(film.pixel_size)
    assert "simulated" in notes_of(scan)[0]
