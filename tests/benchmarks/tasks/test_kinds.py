"""Microscopes and waveforms by kind: one class each, read from tables and stores of before."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from grainscout.analysis.formats import Recording, write_nsid
from grainscout.benchmarks import MicroscopeSpec, Task, WaveformSpec, make_environment
from grainscout.benchmarks.tasks.microscopes import (
    Ising,
    OpenedMicroscope,
    Registered,
    Replay,
    Simulated,
    Topography,
)
from grainscout.benchmarks.tasks.task import plain, topography_task
from grainscout.benchmarks.tasks.waveforms import Constant, Forc, Pulses, Recorded
from grainscout.config import RunConfig, parse, run_document
from grainscout.hardware import make_microscope
from grainscout.policies import policy_class
from grainscout.records import ConfigError, DataError, Scan, Waveform
from grainscout.simulator import Film

FILE = Path("/data/file.h5")
WAVEFORMS = [
    (WaveformSpec(), Waveform.triangle()),
    (WaveformSpec(kind="bipolar", peak_V=1.2), Waveform.bipolar(peak=1.2)),
    (Forc(branches=3, rate_V_per_s=2.0), Waveform.forc(branches=3, rate=2.0)),
    (
        Pulses(levels_V=(1.0,), width_s=0.1, rest_s=0.2),
        Waveform.pulses(levels=(1.0,), width=0.1, rest=0.2),
    ),
    (
        Constant(level_V=0.5, duration_s=2.0, samples=9),
        Waveform.constant(0.5, duration=2.0, samples=9),
    ),
    (Recorded(), None),
]


@pytest.mark.parametrize(("spec", "waveform"), WAVEFORMS, ids=lambda v: getattr(v, "kind", ""))
def test_a_waveform_is_built_with_its_settings(spec, waveform):
    assert spec.build() == waveform


@pytest.mark.parametrize(
    ("settings", "cls"),
    [
        ({}, Simulated),
        ({"film": "tiny"}, Simulated),
        ({"kind": "topography", "file": FILE}, Topography),
        ({"kind": "replay", "file": FILE}, Replay),
        ({"kind": "ising"}, Ising),
        ({"kind": "nanonis", "options": {"port": 1}}, Registered),
    ],
)
def test_the_family_name_makes_the_class_of_the_kind(settings, cls):
    spec = MicroscopeSpec(**settings)
    assert type(spec) is cls
    assert {name: getattr(spec, name) for name in settings} == settings
    assert copy.deepcopy(spec) == spec
    assert dataclasses.replace(spec) == spec


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WaveformSpec(branches=3), "branches is not a setting of kind 'triangle'"),
        (lambda: WaveformSpec(peak_v=3), "did you mean peak_V"),
        (lambda: WaveformSpec(kind="pulses"), "waveform levels_V must be given for kind 'pulses'"),
        (lambda: WaveformSpec(kind="sine"), "waveform kind must be one of 'triangle'"),
        (lambda: MicroscopeSpec(kind="replay"), "microscope file must be given for kind 'replay'"),
        (lambda: Topography(file=FILE, pixel_nm=0.0), "pixel_nm must be > 0 nm"),
    ],
)
def test_a_setting_that_does_not_fit_its_kind_is_refused(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_settings_of_other_kinds_were_always_written_and_are_ignored():
    table = {"kind": "replay", "file": str(FILE), "film": "s26", "temperature_K": 298.0}
    assert parse(MicroscopeSpec, table, "store") == Replay(file=FILE)
    with pytest.raises(ConfigError, match="store: flim is not a setting of kind 'replay'"):
        parse(MicroscopeSpec, {**table, "flim": "s26"}, "store")
    assert parse(MicroscopeSpec, {**table, "options": {}}, "store") == Replay(file=FILE)


@pytest.mark.parametrize(
    ("key", "value"),
    [("options", {"rail_A": 2e-9}), ("grain_contrast", 0.2), ("film_file", "film.h5")],
)
def test_a_setting_that_would_do_nothing_is_refused(key, value):
    table = {"kind": "replay", "file": str(FILE), key: value}
    with pytest.raises(ConfigError, match=f"run: {key} is not a (setting|key)"):
        parse(MicroscopeSpec, table, "run")


def test_stores_hold_what_they_always_held():
    assert plain(Replay(file=FILE), stored=True) == {
        "kind": "replay",
        "film": "reference",
        "instrument": "reference",
        "temperature_K": 298.0,
        "options": {},
        "file": str(FILE),
    }
    assert plain(Replay(file=FILE)) == {"kind": "replay", "file": str(FILE)}
    old = {"kind": "forc", "rate_V_s": 2.0}
    assert plain(Forc(rate_V_per_s=2.0), stored=True) == old
    assert parse(WaveformSpec, old, "store") == Forc(rate_V_per_s=2.0)


OF_PARTS = {"resource": "GPIB0", "mover": "nanonis"}


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("nanonis", {"rail_a": 1e-8}, {"rail_A": 1e-8}),
        ("third-party", {"rail_a": 1e-8}, {"rail_a": 1e-8}),
        (
            "source-meter",
            OF_PARTS | {"compliance_a": 1e-6, "mover_options": {"rail_a": 1e-8}},
            OF_PARTS | {"compliance_A": 1e-6, "mover_options": {"rail_A": 1e-8}},
        ),
    ],
)
def test_only_our_own_options_of_before_get_their_new_names(kind, old, new):
    table = {
        "task": {"curves": 3, "microscope": {"kind": kind, "options": old}},
        "policy": {"name": "random"},
    }
    settings = parse(RunConfig, table, "journal")
    assert settings.task.microscope.options == new
    assert parse(RunConfig, run_document(settings), "journal") == settings


def test_the_transport_of_a_task_is_put_on_an_image():
    like = Task(microscope=Simulated(film="tiny", instrument="quiet"), curves=3)
    made = topography_task(FILE, like).microscope
    assert made == Topography(film="tiny", instrument="quiet", file=FILE)
    assert topography_task(FILE, dataclasses.replace(like, microscope=Ising())).microscope == (
        Topography(file=FILE)
    )


def test_every_kind_but_an_instrument_has_a_truth():
    kinds = MicroscopeSpec.classes()
    assert {kind for kind, cls in kinds.items() if not cls.has_truth} == {Registered.kind}
    assert policy_class("oracle").uses_truth
    bare = OpenedMicroscope(microscope=make_microscope("simulated", {"film": "tiny"}))
    assert bare.truth is None


def test_a_microscope_by_name_is_the_one_of_a_task(tmp_path):
    """Opened from options or from a task: the same film under the same instrument."""
    opened = Simulated(film="tiny").open(3)
    named = make_microscope("simulated", {"film": "tiny", "seed": 3})
    one, other = (m.scan(["height"]).height for m in (named, opened.microscope))
    np.testing.assert_array_equal(one, other)
    saved = tmp_path / "film.h5"
    opened.film.save(saved)
    stored = Simulated(film_file=saved)
    assert stored.one_sample
    np.testing.assert_array_equal(stored.open(0).film.height, Film.load(saved).height)


def test_an_image_is_not_replayed_and_a_grid_is(tmp_path):
    scan = Scan(
        channels={"height": np.random.default_rng(0).normal(size=(5, 5)) * 1e-9},
        pixel_size=(1e-9, 1e-9),
    )
    write_nsid(scan, tmp_path / "image.h5")
    with pytest.raises(DataError, match=r'it holds an image\. Use it as kind = "topography"'):
        make_environment(Task(microscope=Replay(file=tmp_path / "image.h5"), curves=1), 0)
    wave = Waveform.constant(1.0, samples=3)
    grid = Recording(
        scan=scan,
        sites=np.argwhere(np.ones((5, 5), bool)),
        waveform=wave,
        current=np.ones((25, 3)) * np.arange(25)[:, None] * 1e-9,
    )
    write_nsid(grid, tmp_path / "grid.h5")
    task = Task(
        microscope=Replay(file=tmp_path / "grid.h5"),
        waveform=Recorded(),
        target="max_current",
        window_px=1,
        curves=1,
    )
    environment = make_environment(task, 0)
    assert environment.truth(environment.problem()).target.max() == pytest.approx(24e-9)
