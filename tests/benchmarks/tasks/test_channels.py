"""Images beside the height: what they cost, what they are taken at, what is refused, what they teach."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from grainscout.analysis.formats import Recording, write_nsid
from grainscout.benchmarks import Task, make_environment
from grainscout.benchmarks.tasks.microscopes import Registered, Replay, Simulated
from grainscout.benchmarks.tasks.rehearsal import rehearse
from grainscout.benchmarks.tasks.task import PolicySpec
from grainscout.experiment import make_problem
from grainscout.hardware import Limits, SimulatedMicroscope
from grainscout.microstructure.features import current_features
from grainscout.policies.models.features import feature_table
from grainscout.records import Budget, ConfigError, LimitError, Scan, Waveform, spawn_streams
from grainscout.simulator import Film, FilmSpec

BOTH = ("height", "current")
SWEEP = Waveform.triangle(1.5, 21, 0.1)


@pytest.fixture(scope="module")
def film():
    spec = FilmSpec(rows=24, columns=32, row_nm=20.0, column_nm=20.0)
    return Film.generate(spec, np.random.SeedSequence(5))


@pytest.fixture
def task(film, tmp_path):
    film.save(tmp_path / "film.h5")
    spec = Simulated(film_file=tmp_path / "film.h5", instrument="quiet")
    return Task(microscope=spec, curves=4, window_px=4, channels=BOTH)


def imaged(task):
    environment = make_environment(task, 1)
    scan = environment.problem().scan
    return scan, environment.microscope.clock.now()


def test_the_current_is_free_with_the_height_and_costs_a_pass_of_its_own(task):
    _, alone = imaged(replace(task, channels=()))
    scan, together = imaged(task)
    apart, twice = imaged(replace(task, scan_together=False))
    assert together == alone > 0
    assert twice == 2 * alone
    assert tuple(scan.channels) == tuple(apart.channels) == BOTH
    assert scan.units == apart.units == {"height": "m", "current": "A"}


def test_it_is_taken_at_its_own_bias_and_light_and_curves_at_theirs(task):
    dark, _ = imaged(replace(task, scan_bias_V=-0.5))
    lit, _ = imaged(replace(task, scan_bias_V=-1.5, scan_light_suns=0.5))
    assert (dark.metadata["bias_V"], lit.metadata["bias_V"]) == (-0.5, -1.5)
    assert np.median(np.abs(lit.channel("current"))) > 2 * np.median(
        np.abs(dark.channel("current"))
    )
    environment = make_environment(replace(task, scan_light_suns=0.5, light_suns=0.0), 1)
    environment.problem()
    assert environment.microscope.microscope.instrument.lamp.at(1e6) < 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"channels": ("height", "phase")},
            r"images of this microscope \(height, current\).*phase",
        ),
        ({"channels": ("height", "height")}, "different names"),
        ({"channels": ("height",), "scan_bias_V": 1.0}, "name the current"),
        ({"scan_bias_V": float("nan")}, "must be finite"),
        ({"scan_light_suns": -1.0}, "scan_light_suns must be >= 0"),
    ],
)
def test_what_cannot_be_imaged_is_refused_by_name(task, change, words):
    with pytest.raises(ConfigError, match=words):
        imaged(replace(task, **change))


def test_a_bias_beyond_the_limit_is_refused_and_rehearsed(task):
    high = replace(task, scan_bias_V=-3.0)
    with pytest.raises(LimitError, match=r".bias. of an image must be at most 2 V; got 3 V"):
        imaged(high)
    found = rehearse(high, PolicySpec(name="random"), 1, Limits())
    assert [v.split(" must")[0] for v in found.violations] == ["|bias| of an image"]
    assert 0 < found.images_min < found.minutes
    assert found.images == "height, current"


def test_an_instrument_must_be_told_its_bias(film):
    class Real(SimulatedMicroscope):
        capabilities = property(lambda self: replace(super().capabilities, simulated=False))

    scope = Real(film, seed=spawn_streams(0).instrument)
    with pytest.raises(ConfigError, match="scan_bias_V must be given"):
        make_problem(scope, SWEEP, Budget(curves=1), channels=BOTH, window=4)
    assert tuple(make_problem(scope, SWEEP, Budget(curves=1), window=4).scan.channels) == (
        "height",
    )
    assert Registered(kind="nanonis", options={"signals": {"phase": "Phase (deg)"}})


def test_a_recording_gives_the_images_that_it_holds(tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.normal(size=(5, 5)) for name in ("height", "friction")}
    sites = np.argwhere(np.ones((5, 5), bool))
    curves = rng.normal(size=(25, 21))
    grid = Recording(
        scan=Scan(channels=images, pixel_size=(1e-8, 1e-8)),
        sites=sites,
        waveform=SWEEP,
        current=curves,
        saturated=np.zeros(curves.shape, bool),
    )
    write_nsid(grid, tmp_path / "grid.h5")
    task = Task(microscope=Replay(file=tmp_path / "grid.h5"), curves=3, window_px=1)
    assert set(imaged(task)[0].channels) == {"height", "friction"}
    assert tuple(imaged(replace(task, channels=("friction",)))[0].channels) == ("friction",)
    for change in ({"channels": BOTH}, {"channels": BOTH, "scan_bias_V": 1.0}):
        with pytest.raises(ConfigError, match="it has no current"):
            imaged(replace(task, **change))


def test_features_of_a_current_follow_its_logarithm_in_any_unit():
    rng = np.random.default_rng(0)
    decades = gaussian_filter(rng.normal(size=(40, 50)), 3.0)
    decades = -9.0 + 1.5 * decades / decades.std()
    image = -(10**decades)
    table = current_features(image)
    assert np.mean(np.sum(table**2, axis=-1)) == pytest.approx(1.0)
    np.testing.assert_allclose(current_features(1e9 * image), table, atol=1e-9)
    seen = decades > -10.0  # what is lower lies below the change from pixel to pixel
    assert np.corrcoef(table[..., 0][seen], -decades[seen])[0, 1] > 0.99
    spoilt = image.copy()
    spoilt[3, 7] = -1.0  # a spike of an ampere
    assert np.abs(current_features(spoilt)[20:] - table[20:]).max() < 0.1
    assert not current_features(rng.normal(size=(40, 50))).any()  # noise alone


def test_the_current_weighs_as_much_as_all_of_the_height():
    rng = np.random.default_rng(0)
    height = Scan(channels={"height": rng.normal(size=(32, 32))}, pixel_size=(1e-8, 1e-8))
    current = 10 ** rng.uniform(-11, -8, size=(32, 32))
    both = replace(height, channels={**height.channels, "current": current})
    alone, joint = feature_table(height), feature_table(both)
    assert joint.shape[1] == alone.shape[1] + 3
    np.testing.assert_allclose(joint[:, :-3], np.sqrt(0.5) * alone, rtol=1e-5)
    np.testing.assert_array_equal(feature_table(both, channels=("height",)), alone)
