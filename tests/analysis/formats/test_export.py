"""What is written comes back: values, units, axes, metadata, orientation."""

from __future__ import annotations

import numpy as np
import pytest

from grainscout.analysis import formats
from grainscout.analysis.formats import Recording, read
from grainscout.records import DataError, Scan, Site, Waveform

#: An L: no rotation, mirror image or transpose of it looks the same.
ASYMMETRIC = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 2]], float)


def scan(angle: float = 0.3) -> Scan:
    rng = np.random.default_rng(1)
    return Scan(
        channels={
            "height": ASYMMETRIC * 1e-9 / 3,
            "current": rng.normal(0, 1e-9, (4, 5)),
            "Phase 1/2": rng.normal(size=(4, 5)),
        },
        units={"height": "m", "current": "A", "Phase 1/2": "deg"},
        pixel_size=(2e-8 / 3, 1e-8 / 7),
        origin=(1.1e-6, -2.3e-6),
        angle=angle,
        metadata={
            "note": {"ScanRate": "0.4", "operator": "Žofie µ"},
            "settings": [1, 2.5, None, True],
            "table": np.arange(6).reshape(2, 3),
        },
    )


def recording(complete: bool) -> Recording:
    rng = np.random.default_rng(2)
    sites = np.argwhere(np.ones((4, 5), bool))
    sites = rng.permutation(sites)[: 20 if complete else 7]
    current = rng.normal(0, 1e-9, (len(sites), 11))
    current[3, 4] = np.nan
    return Recording(
        scan=scan(),
        sites=sites,
        waveform=Waveform.triangle(1.0, 11, 0.3),
        current=current,
        saturated=rng.random((len(sites), 11)) < 0.2,
        metadata={"parameters": {"Z": rng.normal(size=len(sites))}, "header": {"a": "b"}},
    )


def same(a: object, b: object) -> None:
    if isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.asarray(b).dtype
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for k in a:
            same(a[k], b[k])
    else:
        assert a == b


def same_scan(a: Scan, b: Scan) -> None:
    same(dict(a.channels), dict(b.channels))
    assert list(a.channels) == list(b.channels)
    assert dict(a.units) == dict(b.units)
    assert (a.pixel_size, a.origin, a.angle) == (b.pixel_size, b.origin, b.angle)
    same(dict(a.metadata), dict(b.metadata))


def same_recording(a: Recording, b: Recording) -> None:
    same_scan(a.scan, b.scan)
    assert a.waveform == b.waveform
    assert a.waveform.kind == b.waveform.kind
    for name in ("sites", "current", "saturated"):
        same(getattr(a, name), getattr(b, name))
    assert a.unit == b.unit
    same(dict(a.metadata), dict(b.metadata))


WRITERS = {".h5": formats.write_nsid, ".csv": formats.write_csv, ".gwy": formats.write_gwy}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_scan_comes_back_to_the_last_bit(tmp_path, suffix):
    WRITERS[suffix](scan(), tmp_path / f"scan{suffix}")
    same_scan(scan(), read(tmp_path / f"scan{suffix}"))


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_a_recording_comes_back_to_the_last_bit(tmp_path, suffix, complete):
    WRITERS[suffix](recording(complete), tmp_path / f"grid{suffix}")
    same_recording(recording(complete), read(tmp_path / f"grid{suffix}"))


def test_xarray_there_and_back():
    xarray = pytest.importorskip("xarray")
    dataset = formats.to_xarray(recording(False))
    assert isinstance(dataset, xarray.Dataset)
    assert dataset["height"].attrs["units"] == "m"
    same_recording(recording(False), formats.from_xarray(dataset))
    same_scan(scan(), formats.from_xarray(formats.to_xarray(scan())))
    # Positions are those of the scan, rotation included.
    x, y = scan().position(Site(2, 3))
    assert dataset["x"].sel(row=2, column=3).item() == x
    assert dataset["y"].sel(row=2, column=3).item() == y
    with pytest.raises(DataError, match="to_xarray"):
        formats.from_xarray(xarray.Dataset({"a": ("t", [1, 2])}))


def test_other_nsid_readers_see_the_same_picture(tmp_path):
    # Without our own mark the file is read by its NSID labels alone.
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "grid.h5"
    formats.write_nsid(scan(angle=0.0), path)
    with h5py.File(path, "r+") as file:
        del file.attrs["grainscout_format"]
        main = file["Measurement_000/Channel_000/height/height"]
        assert [d.label for d in main.dims] == ["x", "y"]
        assert main.shape == (5, 4)
    foreign = read(path)
    np.testing.assert_array_equal(foreign.height, scan().height)
    assert foreign.units["Phase 1/2"] == "deg"
    assert foreign.position(Site(2, 3)) == pytest.approx(scan(0.0).position(Site(2, 3)), rel=1e-12)


def test_other_nsid_readers_see_the_curves_at_their_place(tmp_path):
    import h5py

    path, data = tmp_path / "grid.h5", recording(True)
    formats.write_nsid(data, path)
    with h5py.File(path) as file:
        cube = file["Measurement_000/Curves/current/current"]
        assert [d.label for d in cube.dims] == ["x", "y", "Voltage"]
        for i, (row, column) in enumerate(data.sites):
            np.testing.assert_array_equal(cube[column, row], data.current[i])


def test_gwyddion_sees_the_units_and_the_size(tmp_path):
    # Byte-level facts of the format, not our reader's opinion.
    path = tmp_path / "scan.gwy"
    formats.write_gwy(scan(), path)
    data = path.read_bytes()
    assert data.startswith(b"GWYPGwyContainer\0")
    at = data.index(b"xreal\0d") + 7
    assert np.frombuffer(data, "<f8", 1, at)[0] == pytest.approx(5 * 1e-8 / 7)
    at = data.index(b"\0data\0D") + 7
    assert np.frombuffer(data, "<u4", 1, at)[0] == 20
    np.testing.assert_array_equal(
        np.frombuffer(data, "<f8", 20, at + 4).reshape(4, 5), scan().height
    )


def test_gwy_without_our_mark_keeps_axes(tmp_path):
    path = tmp_path / "scan.gwy"
    formats.write_gwy(scan(0.0), path)
    path.write_bytes(path.read_bytes().replace(b"grainscout\0s", b"grainscoot\0s"))
    foreign = read(path)
    np.testing.assert_array_equal(foreign.height, scan().height)
    assert foreign.pixel_size == pytest.approx(scan().pixel_size, rel=1e-12)
    assert foreign.origin == pytest.approx(scan().origin, rel=1e-9)


def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path):
    path = tmp_path / "scan.h5"
    formats.write_nsid(scan(), path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="overwrite=True"):
        formats.write_nsid(scan(), path)
    bad = Scan(channels={"height": ASYMMETRIC}, pixel_size=(1, 1), metadata={"what": object()})
    for write in WRITERS.values():
        with pytest.raises(DataError, match=r"metadata.*what"):
            write(bad, path, overwrite=True)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["scan.h5"]
    with pytest.raises(DataError, match="absent"):
        formats.write_csv(scan(), tmp_path / "absent" / "x.csv")


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_export_that_is_cut_anywhere_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"broken{suffix}"
    WRITERS[suffix](scan(), path)
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), 25):
        path.write_bytes(whole[:at])
        with pytest.raises(DataError, match="broken"):
            read(path)


def test_gwy_refuses_curves(tmp_path):
    with pytest.raises(DataError, match=r"\.scan"):
        formats.write_gwy(recording(True), tmp_path / "x.gwy")


def test_a_recording_refuses_what_makes_no_sense():
    good = recording(False)
    fields = {
        "scan": good.scan,
        "sites": good.sites,
        "waveform": good.waveform,
        "current": good.current,
    }
    for change, message in (
        ({"sites": good.sites.astype(float)}, "integer"),
        ({"sites": good.sites + 4}, "must lie on the 4 x 5 scan"),
        ({"sites": np.repeat(good.sites[:1], 7, axis=0)}, "all be different"),
        ({"current": good.current[:, :5]}, "shape"),
    ):
        with pytest.raises(DataError, match=message):
            Recording(**{**fields, **change})
    with pytest.raises(DataError, match="one of the 7 recorded"):
        good.index(Site(99, 0))
