"""Files of further makers: axes, units, orientation and direction, against arithmetic and their own readers."""

from __future__ import annotations

import makers_rig as rig
import numpy as np
import pytest

from grainscout.analysis.formats import Recording, notes_of, read, summary_of
from grainscout.records import ConfigError, DataError

CURVES = np.arange(4)[:, None] * 3e-9 + np.arange(10)[None] * 1e-9


def test_bruker_has_its_scales_direction_and_bottom_line_first(tmp_path):
    for bits in (16, 32):
        scan = read(rig.bruker(tmp_path / "a.spm", bits))
        np.testing.assert_allclose(scan.height, rig.RAW * 32e-9 / 2**bits, rtol=1e-12)
        np.testing.assert_allclose(scan.channels["current"], 2 * rig.RAW * 20e-9 / 2**bits)
        assert scan.units == {"height": "m", "current": "A"}
        assert scan.pixel_size == pytest.approx((0.5e-6, 0.5e-6))
    back = read(rig.bruker(tmp_path / "b.001", size="3 ~m", direction="Retrace"))
    assert back.pixel_size == pytest.approx((0.75e-6, 0.5e-6))
    assert set(back.metadata["channel_names"].values()) == {"Height backward", "Current backward"}


@pytest.mark.parametrize(
    ("write", "factor", "step", "source"),
    [
        (rig.nid, 1e-12, (5e-7, 5e-7), "Nanosurf"),
        (rig.createc, 1e-11, (1e-9, 1e-9), "Createc"),
        (rig.wsxm_image, 1e-11, (1e-8, 1e-8), "WSxM"),
        (rig.park, 1e-10, (5e-7, 5e-7), "Park"),
    ],
)
def test_an_image_has_its_values_in_metres_and_its_top_line_first(
    tmp_path, write, factor, step, source
):
    path = write(tmp_path / "a.bin")
    scan = read(path)
    expected = rig.RAW * factor
    np.testing.assert_allclose(
        scan.height - scan.height[0, 0], expected - expected[0, 0], atol=1e-18
    )
    assert scan.pixel_size == pytest.approx(step)
    assert scan.metadata["source"] == source
    rows = dict(summary_of(scan))
    assert rows["format"] == source
    assert "what policies see" in rows["channel height"]


def test_a_nanosurf_image_has_its_place_and_its_way_back(tmp_path):
    scan = read(rig.nid(tmp_path / "a.nid"))
    np.testing.assert_allclose(scan.height, rig.RAW * 1e-12, atol=1e-20)
    np.testing.assert_allclose(scan.channels["height backward"] - scan.height, 1e-12, atol=1e-20)
    assert scan.origin == pytest.approx((1e-6 + 2.5e-7, -2e-6 + 2.5e-7))


@pytest.mark.parametrize("kind", ["short", "float"])
def test_a_wsxm_image_of_other_numbers(tmp_path, kind):
    scan = read(rig.wsxm_image(tmp_path / "a.stp", kind))
    assert np.ptp(scan.height) == pytest.approx(9.35e-9)


def test_a_wsxm_curve_goes_forth_and_back(tmp_path):
    data = read(rig.wsxm_curve(tmp_path / "a.cur", CURVES[1]))
    assert isinstance(data, Recording)
    np.testing.assert_allclose(data.waveform.voltage, [*rig.VOLTS, *rig.VOLTS[::-1]])
    np.testing.assert_allclose(data.current[0], CURVES[1], rtol=1e-8)
    assert data.unit == "A"


def test_park_spectra_lie_at_their_points_with_their_time(tmp_path):
    data = read(rig.park(tmp_path / "a.tiff", CURVES))
    np.testing.assert_allclose(data.waveform.voltage, [*rig.VOLTS, *rig.VOLTS[::-1]])
    np.testing.assert_allclose(data.current, CURVES, rtol=1e-6)
    assert data.waveform.time[-1] == pytest.approx(0.5)
    # Park's y points up: the points of its y = 1 um are the upper row.
    np.testing.assert_allclose(data.positions * 1e6, [[0, 0], [1, 0], [0, -1], [1, -1]], atol=1e-6)


def test_rhk_has_images_of_falling_axes_and_curves_at_their_points(tmp_path):
    places = np.array([[0.2e-7, -1.8e-7], [0.5e-7, -2.1e-7], [0.9e-7, -2e-7], [9.0, 9.0]])
    path = rig.sm4(tmp_path / "a.sm4", CURVES[:, :5], places)
    data = read(path)
    scan = data.scan
    np.testing.assert_allclose(scan.height, rig.RAW * 1e-10, rtol=1e-6)
    assert scan.pixel_size == pytest.approx((1e-8, 5e-9))
    # The file begins at x = 100 nm and goes to the left, and at y = 200 nm and goes up.
    assert scan.origin == pytest.approx((75e-9, -230e-9))
    np.testing.assert_allclose(data.waveform.voltage, rig.VOLTS)
    assert data.waveform.time[-1] == pytest.approx(0.04)
    assert len(data) == 1  # one of four lies on the image
    np.testing.assert_allclose(data.positions[0], places[2], atol=5e-9)
    np.testing.assert_allclose(data.current[0], CURVES[2, :5], rtol=1e-6)
    assert any("outside the image" in note for note in notes_of(data))


def test_omicron_is_read_through_its_package(tmp_path):
    pytest.importorskip(
        "access2thematrix", reason="access2theMatrix is not installed: make contracts"
    )
    scan = read(rig.matrix(tmp_path))
    np.testing.assert_allclose(scan.height, rig.RAW * 1e-12, rtol=1e-9)
    np.testing.assert_allclose(scan.channels["height backward"] - scan.height, 1e-12, atol=1e-18)
    assert scan.pixel_size == pytest.approx((1e-8, 1e-8))
    centre = scan.positions(np.array([[0, 0], [3, 5]])).mean(axis=0)
    np.testing.assert_allclose(centre, [1e-7, 0], atol=1e-20)
    with pytest.raises(DataError, match="Read the file beside it"):
        read(tmp_path / "run_0001.mtrx")


@pytest.mark.filterwarnings("ignore")  # theirs
def test_a_high_speed_movie_is_read_through_its_package(tmp_path):
    pytest.importorskip("AFMReader", reason="AFMReader is not installed: make contracts")
    for cycle in (0, 1):
        scan = read(rig.asd(tmp_path / "a.asd"), cycle=cycle)
        # 5 V of both signs on 12 bits, 2 x 20.48 nm/V, falling with the level.
        levels = rig.RAW + 10 * cycle
        np.testing.assert_allclose(scan.height, (204.8 - 0.1 * levels) * 1e-9, rtol=1e-5)
        assert scan.pixel_size == pytest.approx((5e-9, 1e-8))
    cut = tmp_path / "cut.asd"
    cut.write_bytes((tmp_path / "a.asd").read_bytes()[:300])
    for path in (rig.asd(tmp_path / "b.asd", bits=14), cut):
        with pytest.raises(DataError, match=r"12 bits|a whole \.asd"):
            read(path)


@pytest.mark.parametrize(("name", "extra"), [("a.Z_mtrx", "omicron"), ("a.asd", "movies")])
def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, name, extra):
    for package in ("access2thematrix", "AFMReader", "AFMReader.asd"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    (tmp_path / name).write_bytes(b"ONTMATRX0101TLKB" if extra == "omicron" else bytes(40))
    with pytest.raises(ConfigError, match=rf"grainscout\[{extra}\]"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("write", "title"),
    [
        (rig.bruker, "Bruker"),
        (rig.nid, "Nanosurf"),
        (rig.createc, "Createc"),
        (rig.wsxm_image, "WSxM"),
        (rig.park, "Park"),
        (lambda p: rig.sm4(p, CURVES, np.zeros((4, 2))), "RHK"),
    ],
)
def test_a_truncated_file_says_what_it_is_and_what_can_be_used(tmp_path, write, title):
    path = write(tmp_path / "a.bin")
    whole = path.read_bytes()
    for size in (len(whole) // 2, 70, 20):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=rf"a\.bin.*{title}|a\.bin: must be one of"):
            read(path)


def test_the_whole_part_of_a_truncated_file_can_be_read(tmp_path):
    path = rig.bruker(tmp_path / "a.spm")
    path.write_bytes(path.read_bytes()[: -3 * 2 * rig.COLUMNS])
    with pytest.raises(
        DataError, match=r"1 of 4 lines of Current\. It is truncated\. Whole are Height"
    ):
        read(path)
    assert set(read(path, crop_px=(0, 0, 4, 6)).channels) == {"height"}
    lower = read(path, crop_px=(3, 0, 1, 6))  # the file begins with the bottom line
    np.testing.assert_allclose(lower.channels["current"][0], 2 * rig.RAW[3] * 20e-9 / 2**16)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\x89PNG\r\n", "a PNG picture"),
        (b"PK\x03\x04", "ZIP"),
        (b"SQLite format 3", "journal"),
        (b"\x93NUMPY", "NumPy"),
        (b"hello", r"a\.dat"),
    ],
)
def test_a_foreign_file_is_named(tmp_path, start, said):
    (tmp_path / "a.dat").write_bytes(start + bytes(100))
    with pytest.raises(DataError, match=said):
        read(tmp_path / "a.dat")


@pytest.mark.filterwarnings("ignore")  # theirs
def test_makers_readers_agree(tmp_path):
    """Their packages read the same values from the same bytes (`make contracts` installs them)."""
    nsf = pytest.importorskip("NSFopen.read", reason="NSFopen is not installed: make contracts")
    pspylib = pytest.importorskip("pspylib.tiff.reader", reason="pspylib is not installed")
    from AFMReader.stp import load_stp
    from pySPM.Bruker import Bruker

    theirs = nsf.read(str(rig.nid(tmp_path / "a.nid"))).data["Image"]["Forward"]["Z-Axis"]
    np.testing.assert_allclose(np.flipud(theirs), read(tmp_path / "a.nid").height, atol=1e-18)
    park = pspylib.TiffReader(str(rig.park(tmp_path / "a.tiff"))).data.scanData.ZData
    image = np.reshape(park, rig.RAW.shape)[::-1] * 1e-6
    np.testing.assert_allclose(image, read(tmp_path / "a.tiff").height, rtol=1e-9)
    image, _ = load_stp(rig.wsxm_image(tmp_path / "a.stp", high=60))
    np.testing.assert_allclose(np.flip(image) * 1e-11, read(tmp_path / "a.stp").height)
    sm4 = pytest.importorskip("spym.io.rhksm4", reason="rhkpy is not installed: make contracts")
    path = rig.sm4(tmp_path / "a.sm4", CURVES[:, :5], np.tile([0.9e-7, -2e-7], (4, 1)))
    page = sm4.load(str(path))[1]
    values = page.data.T * page.attrs["RHK_Zscale"] + page.attrs["RHK_Zoffset"]
    ours = read(path)
    np.testing.assert_allclose(values[:1], ours.current, rtol=1e-6)
    np.testing.assert_allclose(page.coords[0][1], ours.waveform.voltage)
    layer = Bruker(str(rig.bruker(tmp_path / "a.spm"))).get_channel("Height")
    np.testing.assert_allclose(
        np.flipud(np.reshape(layer.pixels, rig.RAW.shape)) * 1e-9, read(tmp_path / "a.spm").height
    )
