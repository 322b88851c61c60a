"""A person's own files as tasks: grains, descriptors, recordings of anything over a voltage."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from test_nsid_files import bias, place, write

from grainscout.analysis.curves.descriptors import USER_DESCRIPTORS, describe
from grainscout.analysis.formats import read_grains, write_nsid
from grainscout.benchmarks import make_environment
from grainscout.benchmarks.tasks.microscopes import Replay, Topography, film_on_image
from grainscout.benchmarks.tasks.recordings import recorded_tasks
from grainscout.benchmarks.tasks.task import Task, replay_task
from grainscout.benchmarks.tasks.waveforms import Recorded
from grainscout.hardware import Limits
from grainscout.microstructure import structure_features
from grainscout.records import ConfigError, DataError, Scan
from grainscout.records.errors import LimitError

SHAPE = (24, 32)
ROWS, COLUMNS = np.indices(SHAPE)
#: Four grains of unlike sizes, and what a person may save of them.
GRAINS = (ROWS >= 10) * 2 + (COLUMNS >= 20)


def relief():
    rng = np.random.default_rng(0)
    return Scan(
        channels={"height": 5e-9 * GRAINS + rng.normal(0, 1e-10, SHAPE)},
        units={"height": "m"},
        pixel_size=(1e-8, 1e-8),
    )


def edges():
    """A mask of 1 within the grains and 0 along their boundaries."""
    mask = np.ones(SHAPE, int)
    mask[10], mask[:, 20] = 0, 0
    return mask


def same(labels):
    """Whether labels are the four grains, but for the pixels of the boundaries."""
    inside = edges().astype(bool)
    pairs = np.unique(np.column_stack([labels[inside], GRAINS[inside]]), axis=0)
    return len(pairs) == 4 and labels.max() == 3


@pytest.mark.parametrize("form", ["npy", "csv", "txt", "png", "labels.png", "inverse.npy"])
def test_grains_of_any_form(tmp_path, form):
    path = tmp_path / f"mask.{form}"
    if form == "npy":
        np.save(path, GRAINS + 1)
    elif form == "inverse.npy":
        np.save(path, 1 - edges())
    elif form == "csv":
        np.savetxt(path, edges(), fmt="%d", delimiter=",")
    elif form == "txt":
        np.savetxt(path, GRAINS + 7, fmt="%d")
    else:
        from skimage.io import imsave

        colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
        image = colours[GRAINS] if form == "labels.png" else edges().astype(np.uint8) * 255
        imsave(path, image, check_contrast=False)
    assert same(read_grains(path, relief()))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones((5, 5)), "pixels of the topography, 24 x 32"),
        (np.zeros(SHAPE, int), "at least one grain"),
        (np.full(SHAPE, 0.5), "whole numbers"),
        (np.ones((2, *SHAPE)), "one picture"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(tmp_path, values, words):
    np.save(tmp_path / "mask.npy", values)
    with pytest.raises(DataError, match=words):
        read_grains(tmp_path / "mask.npy", relief())


def test_a_film_stands_on_the_grains_that_a_person_drew(tmp_path):
    write_nsid(relief(), tmp_path / "image.h5")
    np.save(tmp_path / "mask.npy", edges())
    spec = Topography(file=tmp_path / "image.h5", film="tiny", grains=tmp_path / "mask.npy")
    assert same(film_on_image(spec, 1).structure.labels)
    part = Topography(
        file=tmp_path / "image.h5",
        film="tiny",
        grains=tmp_path / "mask.npy",
        crop_px=(2, 4, 20, 25),
    )
    labels = film_on_image(part, 1).structure.labels
    assert labels.shape == (20, 25)
    assert labels.max() == 3
    with pytest.raises(ConfigError, match="grain_contrast must be left out"):
        Topography(file=tmp_path / "a.h5", grains=tmp_path / "b.npy", grain_contrast=1.0)


def grid(path, unit="A", peak=1.0, lost=()):
    """Write curves that are no currents unless `unit` says so, with an image beside them."""
    volts = np.concatenate([np.linspace(-peak, peak, 21), np.linspace(peak, -peak, 21)])
    slope = 1 + GRAINS + 0.01 * COLUMNS
    curves = slope[..., None] * np.tanh(volts - 0.3 * np.sign(np.gradient(volts)))
    for site in lost:
        curves[site] = np.nan
    if unit == "A":
        curves = curves * 1e-9
    axes = place(COLUMNS[0] * 1e-8, ROWS[:, 0] * 1e-8)
    image = (relief().height.T, axes, "Height", "m")
    return write(path, (curves.transpose(1, 0, 2), [*axes, bias(volts)], "Response", unit), image)


def test_a_grid_of_any_response_is_a_task_of_three_settings(tmp_path):
    file = grid(tmp_path / "loops.h5", unit="pm", peak=9.0, lost=[(3, 4)])
    task = Task(microscope=Replay(file=file), target="loop_area", curves=5)
    assert task.waveform == Recorded()
    environment = make_environment(task, 0)
    problem = environment.problem()
    truth = environment.truth(problem)
    assert truth.unit == "m V"
    assert list(problem.scan.channels) == ["height"]
    with environment.microscope:
        curve = environment.microscope.measure(problem.candidates[0], problem.waveform)
    assert curve.voltage.max() == 9.0  # beyond the usual limit, but recorded already
    tight = make_environment(task, 0, Limits(voltage_V=1.0))
    with tight.microscope, pytest.raises(LimitError):
        tight.microscope.measure(problem.candidates[0], problem.waveform)


def test_policies_take_features_from_the_grains_of_a_person(tmp_path):
    file = grid(tmp_path / "loops.h5")
    np.save(tmp_path / "mask.npy", edges())
    spec = Replay(file=file, grains=tmp_path / "mask.npy")
    problem = make_environment(Task(microscope=spec, curves=5), 0).problem()
    assert same(structure_features(problem.scan).label)


MODULE = '''
import numpy as np

def window(voltage, curves):
    """Width of the loop at half height."""
    out = curves[:, :21]
    return np.ptp(np.where(out > 0, voltage[:21], np.nan), axis=1)

def pair(voltage, curves):
    return curves.max(axis=1), np.full(len(curves), 0.5)

def wrong(voltage, curves):
    return curves
'''


def test_a_function_of_the_users_is_a_target(tmp_path, monkeypatch):
    (tmp_path / "my_loops_x.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    file = grid(tmp_path / "loops.h5", unit="pm")
    for name in ("my_loops_x:pair [pm]", f"{tmp_path / 'my_loops_x.py'}:pair [pm]"):
        task = replay_task(file, name, 5)
        environment = make_environment(task, 0)
        truth = environment.truth(environment.problem())
        assert truth.unit == "pm"
        assert np.isfinite(truth.target).all()
        USER_DESCRIPTORS.pop(name)
        again = copy.copy(task)  # restored as in a worker
        assert again == task
        assert name in USER_DESCRIPTORS
    found = describe("my_loops_x:pair [pm]", np.linspace(0, 1, 9), np.ones((3, 9)) * np.arange(9))
    assert found.sigma.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("my_loops_y:absent", ConfigError, "it has no 'absent'"),
        ("absent_module_z:f", ConfigError, "can be imported"),
        ("absent.py:f", ConfigError, "existing file"),
        ("my_loops_y:not a name", ConfigError, "module:function"),
        ("my_loops_y:wrong", DataError, "a value for each of the 3 curves"),
    ],
)
def test_a_function_that_cannot_be_used_is_named(tmp_path, monkeypatch, name, error, words):
    (tmp_path / "my_loops_y.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)

    def use():
        Task(target=name, curves=5)
        describe(name, np.linspace(0, 1, 9), np.ones((3, 9)) * np.arange(9))

    with pytest.raises(error, match=words):
        use()


def test_a_name_from_elsewhere_is_never_imported():
    with pytest.raises(ConfigError, match="known once a task names it"):
        describe("os:getcwd", np.linspace(0, 1, 9), np.zeros((1, 9)))


def test_every_grid_of_a_folder_is_a_task_and_the_rest_is_named(tmp_path):
    grid(tmp_path / "a.h5")
    write_nsid(relief(), tmp_path / "image.h5")
    (tmp_path / "broken.3ds").write_bytes(b"Grid dim=")
    made = recorded_tasks(tmp_path, ["max_current", "loop_area"], 60)
    assert [t.id for t in made.tasks] == ["replay/a/max_current", "replay/a/loop_area"]
    assert set(made.left_out) == {"broken.3ds", "image.h5"}
    assert made.left_out["image.h5"] == "images without curves"
