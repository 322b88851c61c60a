"""What we export, opened by the packages that others read it with (`make contracts` installs them).

The image and the curves are such that no rotation or mirror maps them on themselves.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from grainscout.analysis.formats import Recording, read, write_gwy, write_nsid
from grainscout.records import Scan, Waveform

ROWS, COLUMNS = 4, 6
IMAGE = (np.arange(ROWS)[:, None] ** 2 * 10.0 + np.arange(COLUMNS)) * 1e-9
SCAN = Scan(
    channels={"height": IMAGE, "phase": -IMAGE * 1e9},
    units={"height": "m", "phase": "deg"},
    pixel_size=(3e-8, 2e-8),
    origin=(1e-6, -2e-6),
    metadata={"operator": "A. Nonymous"},
)
SWEEP = Waveform.triangle(1.5, 11, 0.5)
SITES = np.argwhere(np.ones((ROWS, COLUMNS), bool))
GRID = Recording(
    scan=SCAN, sites=SITES, waveform=SWEEP, current=IMAGE.ravel()[:, None] * SWEEP.voltage
)
X = SCAN.origin[0] + np.arange(COLUMNS) * 2e-8
Y = SCAN.origin[1] + np.arange(ROWS) * 3e-8


@pytest.fixture
def nsid(tmp_path):
    """Main datasets by quantity, as pyNSID finds and reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, at import
        pyNSID = pytest.importorskip("pyNSID", reason="pyNSID is not installed: make contracts")
    import h5py

    path = tmp_path / "grid.h5"
    write_nsid(GRID, path)
    with warnings.catch_warnings(), h5py.File(path, "r") as file:
        warnings.simplefilter("ignore")
        mains = pyNSID.io.hdf_utils.get_all_main(file)
        yield {d.quantity: d for d in map(pyNSID.io.hdf_utils.read_h5py_dataset, mains)}


def test_pynsid_finds_images_with_units_axes_and_orientation(nsid):
    assert set(nsid) == {"height", "phase", "current"}
    height = nsid["height"]
    assert (height.units, nsid["phase"].units) == ("m", "deg")
    assert height.data_type.name == "IMAGE"
    np.testing.assert_array_equal(np.asarray(height), IMAGE.T)  # NSID images are [x, y]
    for axis, expected in ((height.x, X), (height.y, Y)):
        np.testing.assert_allclose(axis.values, expected, rtol=1e-12)
        assert (axis.units, axis.dimension_type.name) == ("m", "SPATIAL")


def test_pynsid_finds_curves_over_the_voltage(nsid):
    current = nsid["current"]
    assert current.data_type.name == "SPECTRAL_IMAGE"
    assert current.units == "A"
    np.testing.assert_array_equal(
        np.asarray(current).transpose(1, 0, 2).reshape(-1, len(SWEEP)), GRID.current
    )
    axis = current.Voltage
    np.testing.assert_array_equal(axis.values, SWEEP.voltage)
    assert (axis.units, axis.dimension_type.name) == ("V", "SPECTRAL")


def test_a_nexus_viewer_plots_the_image_with_its_axes(tmp_path):
    nexus = pytest.importorskip(
        "nexusformat.nexus", reason="nexusformat is not installed: make contracts"
    )
    path = tmp_path / "scan.nxs"
    write_nsid(SCAN, path)
    root = nexus.nxload(str(path))
    plotted = root.get_default()
    assert plotted.nxclass == "NXdata"
    np.testing.assert_array_equal(plotted.nxsignal.nxvalue, IMAGE.T)
    assert plotted.nxsignal.attrs["units"] == "m"
    x, y = plotted.nxaxes
    np.testing.assert_allclose(x.nxvalue, X, rtol=1e-12)
    np.testing.assert_allclose(y.nxvalue, Y, rtol=1e-12)
    assert (x.attrs["units"], y.attrs["units"]) == ("m", "m")


def test_gwyfile_reads_our_images_the_right_way_round(tmp_path):
    gwyfile = pytest.importorskip("gwyfile", reason="gwyfile is not installed: make contracts")
    path = tmp_path / "scan.gwy"
    write_gwy(SCAN, path)
    channels = gwyfile.util.get_datafields(gwyfile.load(str(path)))
    assert set(channels) == {"height", "phase"}
    height = channels["height"]
    np.testing.assert_array_equal(height.data, IMAGE)
    assert (height.xreal, height.yreal) == pytest.approx((COLUMNS * 2e-8, ROWS * 3e-8))
    assert (height.xoff, height.yoff) == pytest.approx((X[0] - 1e-8, Y[0] - 1.5e-8))
    assert (height.si_unit_xy["unitstr"], height.si_unit_z["unitstr"]) == ("m", "m")
    assert channels["phase"].si_unit_z["unitstr"] == "deg"


def test_we_read_what_gwyfile_writes(tmp_path):
    gwyfile = pytest.importorskip("gwyfile", reason="gwyfile is not installed: make contracts")
    from gwyfile.objects import GwyContainer, GwyDataField, GwySIUnit

    from grainscout.analysis.formats import read_gwy

    container = GwyContainer()
    container["/0/data/title"] = "Topography"
    container["/0/data"] = GwyDataField(
        IMAGE,
        xreal=COLUMNS * 2e-8,
        yreal=ROWS * 3e-8,
        si_unit_xy=GwySIUnit(unitstr="m"),
        si_unit_z=GwySIUnit(unitstr="m"),
    )
    path = tmp_path / "theirs.gwy"
    container.tofile(str(path))
    scan = read_gwy(path)
    (image,) = scan.channels.values()
    np.testing.assert_array_equal(image, IMAGE)
    assert scan.pixel_size == pytest.approx((3e-8, 2e-8))
    assert gwyfile.__name__ == "gwyfile"


CUBE = GRID.current.reshape(ROWS, COLUMNS, -1)


def _usid(path, monkeypatch):
    monkeypatch.setattr(np, "product", np.prod, raising=False)  # pyUSID is of before numpy 2
    usid = pytest.importorskip("pyUSID", reason="pyUSID is not installed: make contracts")
    import h5py

    places = [usid.Dimension("X", "um", X * 1e6), usid.Dimension("Y", "nm", Y * 1e9)]
    bias = [usid.Dimension("Bias", "mV", SWEEP.voltage * 1e3)]
    values = CUBE.reshape(ROWS * COLUMNS, -1) * 1e9
    with h5py.File(path, "w") as file:
        usid.hdf_utils.write_main_dataset(
            file.create_group("Measurement_000/Channel_000"), values, "Raw_Data", "Current", "nA",
            places, bias, slow_to_fast=False,
        )  # fmt: skip


def _nexus(path, _):
    nexus = pytest.importorskip(
        "nexusformat.nexus", reason="nexusformat is not installed: make contracts"
    )
    places = [nexus.NXfield(Y * 1e9, name="y", units="nm"), nexus.NXfield(X, name="x", units="m")]
    bias = nexus.NXfield(SWEEP.voltage * 1e3, name="bias", units="mV")
    current = nexus.NXfield(CUBE * 1e9, name="current", units="nA")
    nexus.NXroot(nexus.NXentry(nexus.NXdata(current, [*places, bias]))).save(str(path))


def _nsid(path, _):
    pyNSID = pytest.importorskip("pyNSID", reason="pyNSID is not installed: make contracts")
    import h5py
    import sidpy

    data = sidpy.Dataset.from_array(CUBE.transpose(1, 0, 2), title="current")
    data.units, data.quantity, data.data_type = "A", "current", "SPECTRAL_IMAGE"
    for k, (name, values) in enumerate((("x", X), ("y", Y), ("Bias", SWEEP.voltage))):
        unit, kind = ("V", "spectral") if name == "Bias" else ("m", "spatial")
        axis = sidpy.Dimension(values, name=name, units=unit, quantity=name, dimension_type=kind)
        data.set_dimension(k, axis)
    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000")
        pyNSID.hdf_io.write_nsid_dataset(data, group, main_data_name="m")


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("write", [_usid, _nexus, _nsid])
def test_we_read_the_grid_that_others_write(tmp_path, monkeypatch, write):
    path = tmp_path / "theirs.nxs"
    write(path, monkeypatch)
    data = read(path)
    assert isinstance(data, Recording)
    np.testing.assert_allclose(data.current, GRID.current, rtol=1e-6, atol=1e-18)
    np.testing.assert_allclose(data.waveform.voltage, SWEEP.voltage, atol=1e-7)
    np.testing.assert_allclose(data.positions, GRID.positions, rtol=1e-6)
