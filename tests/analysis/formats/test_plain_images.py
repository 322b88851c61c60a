"""Gwyddion simple fields and TIFF, written here byte by byte and by tifffile."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest

from grainscout.analysis.formats import notes_of, read
from grainscout.records import DataError

IMAGE = ((np.arange(5)[:, None] ** 2 * 10 + np.arange(7)) * 1e-9).astype(np.float32)


def gsf(path, image=IMAGE, **header):
    fields = {"XRes": 7, "YRes": 5, "XReal": 0.7, "YReal": 1.0, "XYUnits": "µm", "ZUnits": "m"}
    fields |= header
    text = "Gwyddion Simple Field 1.0\n" + "".join(f"{k} = {v}\n" for k, v in fields.items())
    head = text.encode()
    head += b"\0" * (4 - len(head) % 4)
    path.write_bytes(head + image.astype("<f4").tobytes())
    return path


@pytest.mark.parametrize("pad", range(4))
def test_a_simple_field_has_its_values_size_and_units(tmp_path, pad):
    scan = read(gsf(tmp_path / "a.gsf", Title="Topography" + "x" * pad, XOffset=0.2))
    np.testing.assert_array_equal(scan.height, IMAGE.astype(float))
    assert scan.pixel_size == pytest.approx((2e-7, 1e-7))
    assert scan.origin == pytest.approx((0.25e-6, 0.1e-6))
    assert scan.units["height"] == "m"


def test_a_simple_field_in_other_units(tmp_path):
    scan = read(gsf(tmp_path / "a.gsf", IMAGE * 1e10, ZUnits="Å"))
    np.testing.assert_allclose(scan.height, IMAGE, rtol=1e-6)
    current = read(gsf(tmp_path / "b.gsf", ZUnits="nA", Title="Current"))
    assert current.units == {"current": "A"}


@pytest.mark.parametrize("cut", [1, 30, 60, 100])
def test_a_damaged_simple_field_is_refused(tmp_path, cut):
    path = gsf(tmp_path / "a.gsf")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"a\.gsf"):
        read(path)


@pytest.mark.parametrize("unit", ["nm", "micron", "um"])
def test_a_tiff_with_the_scale_of_imagej(tmp_path, unit):
    import tifffile

    step = {"nm": (20.0, 10.0), "micron": (0.02, 0.01), "um": (0.02, 0.01)}[unit]
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, IMAGE, imagej=True, resolution=(1 / step[1], 1 / step[0]), metadata={"unit": unit}
    )
    scan = read(path)
    np.testing.assert_array_equal(scan.height, IMAGE.astype(float))
    assert scan.pixel_size == pytest.approx((2e-8, 1e-8), rel=1e-5)
    assert "taken in metres" in notes_of(scan)[0]


def test_a_tiff_with_the_scale_of_ome(tmp_path):
    import tifffile

    metadata = {"axes": "YX", "PhysicalSizeX": 10.0, "PhysicalSizeXUnit": "nm"}
    metadata |= {"PhysicalSizeY": 0.02, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", IMAGE, metadata=metadata)
    assert read(tmp_path / "a.ome.tif").pixel_size == pytest.approx((2e-8, 1e-8))


def test_a_tiff_without_scale_or_unit_needs_both(tmp_path):
    import tifffile

    counts = (IMAGE * 1e9).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", counts, resolution=(72, 72))
    with pytest.raises(DataError, match=r"height_unit|pixel_nm"):
        read(tmp_path / "a.tif")
    scan = read(tmp_path / "a.tif", pixel_nm=5.0, height_unit="nm")
    np.testing.assert_allclose(scan.height, counts * 1e-9)
    assert scan.pixel_size == (5e-9, 5e-9)


def test_a_photograph_is_no_topography(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(DataError, match="one number a pixel"):
        read(tmp_path / "a.tif")


def jpk(path, factor=2.5e-12, offset=-1e-8, scaling="LinearScaling"):
    """A JPK image of three channels: raw numbers, and how they become metres (JPKImageSpec 2.0)."""
    import tifffile

    raw = np.round((IMAGE.astype(float) - offset) / factor).astype(np.int32)
    frame = [(32834, "d", 1, 0.7e-6, True), (32835, "d", 1, 1e-6, True)]
    frame += [(32838, "I", 1, 7, True), (32839, "I", 1, 5, True)]

    def page(name, back):
        slots = [(32896, "I", 1, 2, True), (32897, "s", 0, "nominal", True)]
        for k, (slot, kind, f, o) in enumerate(
            (("volts", "NullScaling", 1.0, 0.0), ("nominal", scaling, factor, offset))
        ):
            first = 32912 + 48 * k
            slots += [(first, "s", 0, slot, True), (first + 19, "s", 0, kind, True)]
            slots += [(first + 20, "d", 1, f, True), (first + 21, "d", 1, o, True)]
        return [(32848, "s", 0, name, True), (32849, "I", 1, back, True), *slots]

    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((4, 4), np.uint8), extratags=frame, photometric="minisblack")
        for name, back in (("vDeflection", 0), ("height", 1), ("height", 0)):
            file.write(raw[::-1] + 8 * back, extratags=page(name, back), photometric="minisblack")
    return path


def test_a_jpk_image_has_its_calibration_frame_and_direction(tmp_path):
    scan = read(jpk(tmp_path / "a.jpk"))
    np.testing.assert_allclose(scan.height, IMAGE, atol=1.3e-12)
    assert scan.pixel_size == pytest.approx((2e-7, 1e-7))
    assert scan.metadata["channel_names"]["height"] == "height"
    retrace = read(tmp_path / "a.jpk", channel="height retrace").height
    np.testing.assert_allclose(retrace - scan.height, 8 * 2.5e-12)
    with pytest.raises(DataError, match="linear calibration"):
        read(jpk(tmp_path / "b.jpk", scaling="OffsetScaling"))


def test_afmreader_reads_the_same_from_a_jpk_image(tmp_path):
    reader = pytest.importorskip("AFMReader.jpk", reason="AFMReader is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file open
        image, scale = reader.load_jpk(jpk(tmp_path / "a.jpk"), "height_trace")
        gc.collect()
    scan = read(tmp_path / "a.jpk")
    np.testing.assert_allclose(scan.height, image * 1e-9, rtol=1e-9)
    assert scan.pixel_size[1] == pytest.approx(scale * 1e-9)
