"""Which image is the topography, on which grid, and what becomes of lines and pixels without data."""

from __future__ import annotations

import numpy as np
import pytest

from grainscout.analysis.formats import notes_of
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, scan_of
from grainscout.analysis.formats.topography import height_rank
from grainscout.records import ConfigError, DataError, Site

ROUGH = np.random.default_rng(0).normal(0, 1e-8, (40, 40))
RELIEF = (np.arange(12)[:, None] ** 2 + 3.0 * np.arange(10)) * 1e-9


def picture(name, unit="m", values=RELIEF, step=(1e-8, 2e-8), **more):
    return Picture(name=name, unit=unit, values=np.array(values), pixel_size=step, **more)


def made(*pictures, **options):
    asked = Asked("file", options)
    return scan_of(asked, pictures)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["Height Error [V]", "Measured height [m]"], 1),
        (["Deflection [m]", "ZSensorTrace [m]", "CurrentTrace [A]"], 1),
        (["[P2]_Z [m]", "[P1]_Z backward [m]", "[P1]_Z [m]"], 2),
        (["Z (Backward) [m]", "Z (Forward) [m]", "Current (Forward) [A]"], 1),
        (["NapHeight [m]", "HeightRetrace [m]"], 1),
        (["Amplitude [m]", "Phase [deg]", "Topography [m]"], 2),
        (["Height Sensor [m]", "Peak Force Error [N]", "Adhesion [N]"], 0),
        (["Current [A]", "Bild 3 [m]"], 1),
        (["Höhe [m]", "Strom [A]"], 0),
        (["height [m]"], 0),
        (["Height crop [m]", "Height [m]"], 0),
    ],
)
def test_the_topography_is_the_image_in_metres_whose_name_says_so(names, chosen):
    parts = [name.removesuffix("]").split(" [") for name in names]
    if names[0].startswith("["):
        parts = [name.removesuffix("]").rsplit(" [", 1) for name in names]
    pictures = [picture(n, u, RELIEF + i * 1e-7) for i, (n, u) in enumerate(parts)]
    scan = made(*pictures)
    assert scan.metadata["channel_names"]["height"] == parts[chosen][0]
    np.testing.assert_array_equal(scan.height, RELIEF + chosen * 1e-7)


@pytest.mark.parametrize(("name", "unit"), [("Height", "V"), ("Height error", "m"), ("Phase", "")])
def test_what_is_no_length_is_no_topography(name, unit):
    assert height_rank(name, unit) is None


def test_a_channel_is_chosen_by_its_title_or_by_our_name():
    pictures = [picture("Height"), picture("ZSensor", values=2 * RELIEF), picture("Phase", "deg")]
    assert made(*pictures, channel="ZSensor").height[3, 3] == 2 * RELIEF[3, 3]
    assert made(*pictures, channel="zsensor").height[3, 3] == 2 * RELIEF[3, 3]
    assert made(*pictures, channel="height").height[3, 3] == RELIEF[3, 3]
    scan = made(*pictures, channel="Phase")
    assert scan.image_name == "Phase"
    with pytest.raises(DataError, match=r"channel must be one of Height \[m\] 12 x 10; ZSensor"):
        made(*pictures, channel="Amplitude")


def test_an_image_on_another_grid_is_left_out_and_noted():
    crop = picture("Height crop", values=RELIEF[:6, :5])
    moved = picture("Current", "A", origin=(1e-6, 0.0))
    scan = made(crop, picture("Height"), moved)
    assert scan.shape == (12, 10)
    assert list(scan.channels) == ["height"]
    assert scan.metadata["other_grids"] == ["Height crop [m] 6 x 5", "Current [A] 12 x 10"]
    assert made(crop, picture("Height"), channel="Height crop").shape == (6, 5)


@pytest.mark.parametrize("value", [np.nan, 0.0, -3.2e-8])
@pytest.mark.parametrize("top", [False, True])
def test_lines_that_were_never_scanned_are_no_relief(value, top):
    image = RELIEF + 1e-9
    image[slice(0, 3) if top else slice(9, 12)] = value
    scan = made(picture("Z", values=image))
    kept = slice(3, 12) if top else slice(0, 9)
    np.testing.assert_array_equal(scan.height, (RELIEF + 1e-9)[kept])
    assert scan.metadata["unrecorded"] == 3
    assert "3 of 12 lines" in notes_of(scan)[0]
    assert scan.position(Site(0, 0)) == pytest.approx((0.0, 3e-8 if top else 0.0))


@pytest.mark.parametrize("image", [np.zeros((12, 10)), np.tile(np.arange(12.0)[:, None], 10)])
def test_an_image_of_even_lines_stays_whole(image):
    assert made(picture("Z", values=image * 1e-9)).shape == (12, 10)


def test_single_lost_pixels_are_filled_and_listed():
    image = RELIEF.copy()
    image[4, 5] = np.nan
    scan = made(picture("Z", values=image), picture("Current", "A"))
    assert scan.height[4, 5] == pytest.approx(RELIEF[3:6, 4:7].mean(), rel=0.05)
    assert scan.metadata["filled"]["height"].tolist() == [[4, 5]]
    assert "filled" in notes_of(scan)[0]
    untouched = np.ones((12, 10), bool)
    untouched[4, 5] = False
    np.testing.assert_array_equal(scan.height[untouched], RELIEF[untouched])


def test_a_bad_channel_does_not_cost_the_others():
    bad = np.where(np.eye(12, 10) + np.eye(12, 10, 1) > 0, np.nan, 1.0)
    scan = made(picture("Z"), picture("Phase", "deg", bad))
    assert list(scan.channels) == ["height"]
    assert "left out" in notes_of(scan)[0]
    with pytest.raises(DataError, match="crop_px"):
        made(picture("Z", values=np.where(np.isnan(bad), np.nan, RELIEF)))


def test_a_crop_is_taken_before_anything_is_judged():
    image = RELIEF.copy()
    image[8:, :] = np.nan
    image[:, 7:] = np.nan
    scan = made(picture("Z", values=image), crop_px=(2, 1, 6, 5))
    np.testing.assert_array_equal(scan.height, RELIEF[2:8, 1:6])
    assert scan.position(Site(0, 0)) == pytest.approx((2e-8, 2e-8))
    with pytest.raises(DataError, match="must lie in the image of 12 x 10"):
        made(picture("Z"), crop_px=(2, 1, 11, 5))


def test_a_turned_image_is_cropped_at_its_place():
    scan = made(picture("Z", angle=0.5, origin=(1e-6, -1e-6)), crop_px=(3, 2, 4, 4))
    whole = made(picture("Z", angle=0.5, origin=(1e-6, -1e-6)))
    assert scan.position(Site(0, 0)) == pytest.approx(whole.position(Site(3, 2)))


def test_sizes_and_units_that_a_file_lacks_can_be_said():
    bare = picture("Height", "", RELIEF * 1e9, None)
    with pytest.raises(DataError, match=r"pixel_nm|height_unit"):
        made(bare)
    scan = made(bare, pixel_nm=20.0, height_unit="nm")
    assert scan.pixel_size == (2e-8, 2e-8)
    np.testing.assert_allclose(scan.height, RELIEF)
    assert made(picture("Height", "", RELIEF)).units["height"] == "m"  # possible, and noted
    with pytest.raises(ConfigError, match="must be a length"):
        made(bare, pixel_nm=20.0, height_unit="V")
    with pytest.raises(ConfigError, match="pixel_nm must be > 0"):
        made(bare, pixel_nm=-1.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (1e-9 * RELIEF, "a relief of"),
        (1e9 * RELIEF, "a relief of"),
        (np.where(np.arange(40) < 20, 3e-8, ROUGH), "50% of the heights"),
        (np.minimum(ROUGH, np.quantile(ROUGH, 0.9)), "10% of the heights"),
    ],
)
def test_heights_that_no_surface_has_are_said(values, said):
    assert any(said in note for note in notes_of(made(picture("height", values=values))))


def test_usual_heights_raise_no_doubt():
    for values in (RELIEF, ROUGH, np.round(ROUGH / 1e-9) * 1e-9):
        assert notes_of(made(picture("height", values=values))) == []
