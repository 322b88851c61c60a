"""Quality of curves: losses of the instrument's own log are found, and quiet curves are left alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from grainscout.analysis.curves.quality import Reason, among_neighbours, judge, judge_curve
from grainscout.analysis.descriptors import describe
from grainscout.analysis.formats import read
from grainscout.hardware import SimulatedMicroscope
from grainscout.records import DataError, IVCurve, Site, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.instrument import instrument_spec

SWEEP = Waveform.triangle(1.5, 101, 1.0)
VOLTS = SWEEP.voltage
SEED = 8300  # films that no threshold was chosen on


@pytest.fixture(scope="module")
def film():
    return Film.generate(PRESETS["s26"], spawn_streams(SEED).film)


def measured(film, spec, curves=150, light=0.1):
    """(currents, deflections, samples without contact by the instrument's log) at random sites."""
    scope = SimulatedMicroscope(film, spec, seed=spawn_streams(SEED).instrument, light=light)
    rng = np.random.default_rng(SEED)
    found, lost = [], []
    for row, column in rng.integers(0, film.shape, (curves, 2)):
        before = len(scope.instrument.events)
        found.append(scope.measure(Site(int(row), int(column)), SWEEP))
        log = scope.instrument.events[before:]
        lost.append(sum(e.detail["samples"] for e in log if e.kind == "contact_lost"))
    current = np.array([c.current for c in found])
    return current, np.array([c.signals["deflection"] for c in found]), np.array(lost)


def smooth(scale=1e-9):
    """A loop that conducts like a diode, and comes back a little higher."""
    back = np.arange(101) > 50
    return scale * (np.exp(2.0 * VOLTS) - 1.0) * (1.0 + 0.3 * back * (1.5 - np.abs(VOLTS)))


def noisy(current, noise=1e-12, seed=0):
    return current + noise * np.random.default_rng(seed).standard_normal(np.shape(current))


@pytest.mark.parametrize("name", ["reference", "contact-severe", "contact-severe+noise-severe"])
def test_losses_that_move_a_target_are_found_and_nothing_else(film, name):
    spec = replace(instrument_spec(name), approach=None, crash=None)
    current, deflection, lost = measured(film, spec)
    still, _, _ = measured(film, replace(spec, contact=None))
    moved = np.zeros(len(lost), bool)
    for target in ("loop_area", "log_max_current"):
        now, then = describe(target, VOLTS, current), describe(target, VOLTS, still)
        change = np.abs(now.value - then.value) > 0.3 * np.nanstd(then.value[then.valid])
        moved |= (lost > 0) & (change | (now.valid != then.valid))
    alone = ~judge(VOLTS, current).usable
    felt = ~judge(VOLTS, current, deflection=deflection).usable
    assert moved.sum() > 1
    assert not (alone & (lost == 0)).any()
    assert not (felt & (lost == 0)).any()
    assert felt[moved].all()
    assert alone[moved].mean() > (0.85 if "noise" not in name else 0.55)


@pytest.mark.parametrize(
    "sweep",
    [
        SWEEP,
        Waveform.triangle(1.5, 51, 1.0),
        Waveform.triangle(-1.5, 101, 0.1),
        Waveform.bipolar(1.5, 153, 1.0),
        Waveform.triangle(1.0, 65, 5.0),
    ],
    ids=["usual", "coarse", "fast", "bipolar", "slow"],
)
@pytest.mark.parametrize("light", [0.0, 0.1])
def test_no_quiet_curve_is_called_unusable(film, sweep, light):
    sites = np.random.default_rng(1).integers(0, film.shape, (400, 2))
    current, _ = film.curves(sites, sweep, light=light)
    assert judge(sweep.voltage, current).usable.all()
    assert judge(sweep.voltage, noisy(current, 4e-13)).usable.all()


@pytest.mark.parametrize("name", ["NanonisReader_STS_grid_lockin.3ds"])
def test_no_real_curve_is_called_unusable(shared_data, name):
    grid = read(shared_data / "mit_scifidatasets" / name)
    assert judge(grid.waveform.voltage, grid.current, saturated=grid.saturated).usable.all()


def test_no_real_curve_of_the_paper_is_called_unusable(shared_data):
    real = np.load(shared_data / "real_iv" / "real_iv_13.npz")
    for current in real["current_nA"]:
        seen = np.isfinite(current)
        assert judge(real["voltage"][seen], 1e-9 * current[None, seen]).usable.all()


def spoilt(how):
    current = noisy(smooth())
    if how == "contact lost":
        current[30:45] *= 1e-3
    if how == "jump":
        current[60:] += 8e-9
    if how == "gain changed":
        current[50:] *= 4.0
    if how == "samples missing":
        current[30:45] = np.nan
    if how == "samples repeated":
        current[30:45] = current[30]
    return current


@pytest.mark.parametrize(
    "how", ["contact lost", "jump", "gain changed", "samples missing", "samples repeated"]
)
def test_each_fault_has_its_name(how):
    assert judge(VOLTS, noisy(smooth())[None]).quality(0).reasons == ()
    verdict = judge(VOLTS, spoilt(how)[None]).quality(0)
    assert how in verdict.reasons
    assert not verdict.usable
    assert verdict.score < 0.5


def test_another_bias_than_was_asked_for_is_seen():
    current = noisy(smooth())
    assert judge(VOLTS + 0.005, current[None], asked=VOLTS).usable.all()
    assert judge(0.9 * VOLTS, current[None], asked=VOLTS).reasons[0] == Reason.OTHER_BIAS
    curve = IVCurve(voltage=VOLTS, current=current, time=SWEEP.time)
    assert judge_curve(curve, VOLTS[:51]).reasons == ("other bias",)


def test_a_free_cantilever_is_in_the_air_and_a_rail_is_harmless():
    current = noisy(np.zeros(101))
    assert judge(VOLTS, current[None], deflection=np.zeros((1, 101))).reasons[0] == Reason.IN_AIR
    rail = judge(VOLTS, current[None], saturated=np.ones((1, 101), bool))
    assert rail.quality(0).reasons == ("at rail",)
    assert rail.usable.all()


@settings(max_examples=200, deadline=None)
@given(
    current=arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 40)),
        elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
    ),
    seed=st.integers(0, 5),
)
def test_any_curve_gets_a_verdict(current, seed):
    rng = np.random.default_rng(seed)
    volts = rng.choice([np.zeros, np.ones, rng.standard_normal, np.arange])(current.shape[1])
    volts = np.asarray(volts, float)
    with np.errstate(all="ignore"):
        found = among_neighbours(current, judge(volts, current, asked=volts, deflection=current))
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert len(found.usable) == len(current)


def test_shapes_that_disagree_are_an_error():
    with pytest.raises(DataError, match="voltage must have shape"):
        judge(VOLTS[:7], np.zeros((2, 101)))


@pytest.mark.parametrize("samples", [11, 21, 51])
def test_a_noiseless_curve_of_few_samples_bends_and_is_not_noisy(samples):
    out = np.linspace(0, 1, samples)
    volts = np.r_[out, out[-2::-1]]
    current = np.maximum(np.expm1(8 * (volts - 0.5)) * 1e-10, 1e-12)  # a floor that stands still
    assert judge(volts, current[None]).usable.all()
    bent = np.expm1(5 * volts) / np.expm1(5) * 1e-9
    # Where the exact curve has risen by 10 pA, to a step of the sweep.
    exact = np.log1p(0.01 * np.expm1(5)) / 5
    assert describe("turn_on", volts, bent[None]).value[0] == pytest.approx(exact, abs=out[1])
    loud = noisy(np.repeat(bent[None], 300, axis=0), 1e-11)
    assert 0.7e-11 < np.median(describe("max_current", volts, loud).sigma) < 1.5e-11
