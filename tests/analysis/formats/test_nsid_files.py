"""NSID files of other writers: axes in any direction, lines, cycles, pairs of sweeps, images beside."""

from __future__ import annotations

import itertools

import h5py
import numpy as np
import pytest

from grainscout.analysis.formats import notes_of, read
from grainscout.records import ConfigError, DataError, Site

X, Y = np.arange(8) * 1e-7, np.arange(6) * 2e-7
UP = np.linspace(-1, 1, 21)


def write(path, *mains):
    """Write main datasets of (values, axes, quantity, unit); an axis is (name, values, unit, type)."""
    with h5py.File(path, "w") as file:
        for k, (values, axes, quantity, unit) in enumerate(mains):
            group = file.create_group(f"Measurement_000/Channel_{k:03d}/main")
            main = group.create_dataset("main", data=values)
            kind = "IMAGE" if len(axes) == 2 else "SPECTRAL_IMAGE"
            main.attrs.update({"data_type": kind, "quantity": quantity, "units": unit})
            main.attrs["DIMENSION_LABELS"] = [a[0] for a in axes]
            for name, scale, units, type_ in axes:
                group.create_dataset(name, data=scale).attrs.update(
                    {"units": units, "dimension_type": type_}
                )
    return path


def place(x=X, y=Y):
    return [("x", x, "m", "SPATIAL"), ("y", y, "m", "SPATIAL")]


def bias(values=UP):
    return ("Bias", values, "V", "SPECTRAL")


def ohmic(volts=UP, x=X, y=Y):
    slopes = 1e-9 * (1 + np.arange(x.size)[:, None] + 10 * np.arange(y.size))
    return slopes[..., None] * volts


@pytest.mark.parametrize(
    ("down", "left"), [*itertools.product([False, True], [False, True])], ids=str
)
def test_axes_may_rise_or_fall(tmp_path, down, left):
    x, y = (X[::-1] if left else X), (Y[::-1] if down else Y)
    image = np.add.outer(np.arange(8.0), 10 * np.arange(6.0)) * 1e-9
    scan = read(write(tmp_path / "a.h5", (image, place(x, y), "Height", "m")))
    assert scan.shape == (6, 8)
    # Row 0 is the file's first y; columns are in the order of rising x.
    np.testing.assert_array_equal(scan.height, (image[::-1] if left else image).T)
    first = scan.position(Site(0, 0))
    assert first == pytest.approx((0.0, -Y[-1] if down else 0.0))
    assert ("y falls" in scan.metadata["frame"]) == down
    grid = read(write(tmp_path / "b.h5", (ohmic(), [*place(x, y), bias()], "Current", "A")))
    slope = 7 if left else 0
    assert grid.curve(Site(0, 0)).current[-1] == pytest.approx(1e-9 * (1 + slope))


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("named", [True, False])
def test_a_line_has_one_row_or_column(tmp_path, axis, named):
    values = ohmic(x=X if axis == "x" else X[:1], y=Y if axis == "y" else Y[:1])
    axes = place(X if axis == "x" else X[:1], Y if axis == "y" else Y[:1])
    if not named:
        values = values.reshape(-1, UP.size)
        axes = [a for a in axes if a[0] == axis]
    data = read(write(tmp_path / "a.h5", (values, [*axes, bias()], "Current", "A")))
    assert data.scan.shape == ((1, 8) if axis == "x" else (6, 1))
    step = 1e-7 if axis == "x" else 2e-7
    assert data.scan.pixel_size == pytest.approx((step, step))


@pytest.mark.parametrize("form", ["named", "turned", "named and turned"])
def test_forward_and_backward_datasets_are_a_loop(tmp_path, form):
    turned = "turned" in form
    back = UP[::-1] if turned else UP
    name = "Current [bwd]" if "named" in form else "Current"
    path = write(
        tmp_path / "a.h5",
        (ohmic(), [*place(), bias()], "Current", "A"),
        (2 * ohmic(back), [*place(), bias(back)], name, "A"),
    )
    data = read(path)
    np.testing.assert_allclose(data.waveform.voltage, [*UP, *UP[::-1]])
    np.testing.assert_allclose(data.current[0], 1e-9 * np.concatenate([UP, 2 * UP[::-1]]))


def test_cycles_are_one_after_the_other_or_one_is_chosen(tmp_path):
    values = np.stack([ohmic() * (k + 1) for k in range(3)], axis=2)
    axes = [*place(), ("cycle", np.arange(3.0), "", "SPECTRAL"), bias()]
    path = write(tmp_path / "a.h5", (values, axes, "Current", "A"))
    data = read(path)
    assert len(data.waveform) == 63
    np.testing.assert_allclose(data.current[0], 1e-9 * np.concatenate([UP, 2 * UP, 3 * UP]))
    np.testing.assert_allclose(read(path, cycle=1).current[0], 2e-9 * UP)
    with pytest.raises(DataError, match="cycle must be 0 to 2"):
        read(path, cycle=3)


def test_the_image_beside_a_grid_is_its_scan(tmp_path):
    image = np.add.outer(np.arange(8.0), 10 * np.arange(6.0)) * 1e-9
    curves = (ohmic(), [*place(), bias()], "Current", "A")
    data = read(
        write(
            tmp_path / "a.h5",
            curves,
            (image, place(), "Height", "m"),
            (-image * 1e9, place(), "Phase", "deg"),
        )
    )
    assert list(data.scan.channels) == ["height", "Phase"]
    np.testing.assert_array_equal(data.scan.height, image.T)
    other = read(tmp_path / "a.h5", channel="Phase")
    assert next(iter(other.scan.channels)) == "Phase"
    assert other.scan.image_name == "Phase"
    alone = read(write(tmp_path / "b.h5", curves))
    assert "no image was recorded" in notes_of(alone)[0]
    far = (image[:4], place(X[:4]), "Height", "m")
    assert "other pixels" in notes_of(read(write(tmp_path / "c.h5", curves, far)))[0]


def test_lost_samples_are_kept_as_lost_and_points_without_a_curve_left_out(tmp_path):
    values = ohmic()
    values[2, 3, 5:] = np.nan
    values[4, 1] = np.nan
    data = read(write(tmp_path / "a.h5", (values, [*place(), bias()], "Current", "A")))
    assert len(data) == 47
    assert [1, 4] not in data.sites.tolist()
    np.testing.assert_array_equal(np.isnan(data.curve(Site(3, 2)).current), np.arange(21) >= 5)
    for said in ("1 of 48 points hold no curve", "1 of 47 curves have samples without a value"):
        assert any(said in note for note in notes_of(data))


def test_rails_are_found_and_can_be_given(tmp_path):
    values = np.clip(ohmic(), -20e-9, 20e-9)
    path = write(tmp_path / "a.h5", (values, [*place(), bias()], "Current", "A"))
    clipped = np.abs(ohmic()).max(axis=2).T.ravel() > 20.1e-9
    assert read(path).saturated.any(axis=1)[clipped].all()
    assert (
        read(path, rail=5e-9).saturated.any(axis=1) == (values.max(axis=2).T.ravel() >= 4.995e-9)
    ).all()


def test_one_dataset_without_scales_does_not_cost_the_others(tmp_path):
    path = write(tmp_path / "a.h5", (ohmic(), [*place(), bias()], "Current", "A"))
    with h5py.File(path, "a") as file:
        bad = file.create_dataset("Measurement_000/bad", data=np.zeros((3, 3)))
        bad.attrs.update({"data_type": "IMAGE", "DIMENSION_LABELS": ["x", "y"]})
    data = read(path)
    assert len(data) == 48
    assert any("left out" in note for note in notes_of(data))


def test_labels_decide_which_axis_is_which_and_axes_are_even(tmp_path):
    image = np.arange(15.0).reshape(3, 5)
    x, y = (np.arange(3) * 10.0, "nm"), (np.arange(5) * 20.0, "nm")
    for names, expected in ((("x", "y"), image.T), (("y", "x"), image)):
        axes = [(n, *a, "SPATIAL") for n, a in zip(names, (x, y), strict=True)]
        scan = read(write(tmp_path / "a.h5", (image, axes, "HeightTrace", "nm")))
        np.testing.assert_allclose(scan.height, expected * 1e-9)
        assert scan.pixel_size == pytest.approx((2e-8, 1e-8) if names[0] == "x" else (1e-8, 2e-8))
    bent = np.array([0.0, 10.0, 25.0])
    for axis, words in ((("a", *x), "x and y"), (("x", bent, "nm"), "even")):
        axes = [(*axis, "SPATIAL"), ("y", *y, "SPATIAL")]
        with pytest.raises(DataError, match=words):
            read(write(tmp_path / "b.h5", (image, axes, "HeightTrace", "nm")))


def test_axes_without_a_unit_need_the_pixel_size(tmp_path):
    axes = [("x", np.arange(8.0), "", "SPATIAL"), ("y", np.arange(6.0), "", "SPATIAL")]
    image = np.add.outer(np.arange(8.0), 10 * np.arange(6.0)) * 1e-9
    path = write(tmp_path / "a.h5", (image, axes, "Height", "m"))
    with pytest.raises(DataError, match="pixel_nm"):
        read(path)
    assert read(path, pixel_nm=5.0).pixel_size == (5e-9, 5e-9)
    with pytest.raises(ConfigError, match="rail must be left out"):
        read(path, pixel_nm=5.0, rail=1e-9)


def test_curves_of_several_quantities_are_chosen(tmp_path):
    axes = [*place(), bias()]
    path = write(
        tmp_path / "a.h5",
        (ohmic() * 1e9, axes, "Amplitude", "pm"),
        (ohmic() * 1e10, axes, "Phase", "deg"),
    )
    with pytest.raises(DataError, match="quantity"):
        read(path)
    log = (np.log10(np.abs(ohmic()) + 1e-15), axes, "log10 current", "A")
    with pytest.raises(DataError, match="a current in A"):
        read(write(tmp_path / "b.h5", log))
    data = read(path, current="Phase")
    assert data.unit == "deg"
    assert data.current[0, -1] == pytest.approx(10.0)
