"""The model fitted to curves whose parameters are known, and to real ones."""

import numpy as np
import pytest

from grainscout.records import DataError, Waveform
from grainscout.simulator.film.blend import TransportSpec
from grainscout.simulator.film.mixture import archetype_table
from grainscout.simulator.transport import (
    PARAMETERS,
    TransportGlobals,
    archetype_parameters,
    iv_curves,
)
from grainscout.simulator.transport.fit import FREE, as_archetypes, fit_iv
from grainscout.simulator.transport.fit_model import levenberg

WAVE = Waveform.triangle()
WINDOW = (-0.1e-9, 0.5e-9)


def clipped(current):
    """A current [A] as a figure with a window shows it, and what was clipped."""
    status = np.where(current > WINDOW[1], 1, np.where(current < WINDOW[0], -1, 0))
    return np.where(status == 0, current, np.nan), status


def test_levenberg_finds_the_minimum_of_rosenbrock_from_many_starts():
    def residuals(points, owner):
        a, b = points.T
        return np.stack([10.0 * (b - a**2), (1.0 + owner) - a], axis=1)

    low, high = np.full(2, -5.0), np.full(2, 5.0)
    starts = np.random.default_rng(0).uniform(-2, 2, (6, 2))
    owner = np.array([0, 0, 0, 1, 1, 1])
    points, cost = levenberg(residuals, starts, owner, low, high, 200, tolerance=1e-12)
    assert np.allclose(points[:3], [1.0, 1.0], atol=1e-4)
    assert np.allclose(points[3:], [2.0, 4.0], atol=1e-3)
    assert (cost < 1e-8).all()


@pytest.fixture(scope="module")
def synthetic():
    """Six noisy curves of jittered archetypes, behind the window, with their parameters."""
    rng = np.random.default_rng(3)
    names = ["club", "heart", "diamond"] * 2
    p = {k: np.concatenate([archetype_parameters(a)[k] for a in names]) for k in FREE}
    for k in FREE:
        if PARAMETERS[k].blend == "geometric":
            p[k] = p[k] * np.exp(0.15 * rng.standard_normal(6))
        else:
            p[k] = p[k] + 0.03 * rng.standard_normal(6)
    g = TransportGlobals(Ioff=-0.004)
    current = iv_curves(p | {"Ex": 0.3, "Eu": 0.3}, WAVE, light=0.1, globals_=g).current_nA * 1e-9
    noise = 1e-12 * rng.standard_normal(current.shape)
    data, status = clipped(current + noise)
    fits = fit_iv(WAVE.voltage, data, time=WAVE.time, clipped=status, window=WINDOW)
    return p, current, data, status, fits


def test_fits_reach_the_noise(synthetic):
    _, _, data, _, fits = synthetic
    for fit in fits:
        assert 0.8e-12 < fit.rms < 1.15e-12
        assert fit.rms_share == pytest.approx(fit.rms / 0.6e-9)
    model = np.array([fit.current for fit in fits])
    visible = np.isfinite(data)
    assert np.sqrt(np.mean((model - data)[visible] ** 2)) < 1.1e-12


def test_clipped_samples_are_one_sided(synthetic):
    _, truth, _, status, fits = synthetic
    for fit, row, hidden in zip(fits, truth, status, strict=True):
        assert (fit.current[hidden > 0] > WINDOW[1] - 5e-12).all()
        # A diamond is seen whole; of a club nothing above the window is known or held.
        if (hidden == 0).all():
            assert np.abs(fit.current - row).max() < 5e-12


def test_standard_deviations_cover_the_truth(synthetic):
    p, _, _, _, fits = synthetic
    z = []
    for i, fit in enumerate(fits):
        for k in FREE:
            truth, value = p[k][i], fit.parameters[k]
            if PARAMETERS[k].blend == "geometric":
                truth, value = np.log(truth), np.log(value)
            z.append((value - truth) / fit.sigma[k])
        z.append((fit.offset + 4e-12) / fit.sigma["offset"])
    z = np.abs(z)
    assert 0.5 < (z < 1.0).mean() < 0.95
    assert (z < 2.0).mean() > 0.8
    assert (z < 3.0).mean() > 0.88


def test_parameters_that_a_curve_does_not_show_are_named():
    # A point that never conducts says nothing about conductances; in the dark no photocurrent.
    p = archetype_parameters("club") | {"A": np.array([1e-6])}
    rng = np.random.default_rng(0)
    current = iv_curves(p, WAVE, light=0.1).current_nA[0] * 1e-9 + 1e-13 * rng.standard_normal(251)
    (fit,) = fit_iv(WAVE.voltage, current, window=WINDOW)
    named = {warning.parameter for warning in fit.warnings}
    assert {"Vx", "nu", "wx"} <= named
    assert "undetermined" in str(fit.warnings[0])
    dark = iv_curves(archetype_parameters("heart"), WAVE).current_nA[0] * 1e-9
    (unlit,) = fit_iv(WAVE.voltage, dark + 1e-12 * rng.standard_normal(251), light=0.0)
    assert {"IL", "Vc", "wc", "kc"} <= {warning.parameter for warning in unlit.warnings}
    assert not {"g1", "V1"} & {warning.parameter for warning in unlit.warnings}


def test_a_film_in_the_likeness_of_three_curves(synthetic):
    _, truth, _, _, fits = synthetic
    spec = TransportSpec(archetypes=as_archetypes(*fits[:3]))
    table = archetype_table(spec, np.random.default_rng(0))
    g = TransportGlobals(Ioff=0.0)
    diamond = iv_curves({k: v[2:] for k, v in table.items()}, WAVE, light=0.1, globals_=g)
    assert np.abs(diamond.current_nA[0] * 1e-9 + fits[2].offset - truth[2]).max() < 5e-12


def test_curves_of_hundreds_of_nanoamperes_are_fitted_as_well():
    p = archetype_parameters("heart") | {"A": np.array([200.0])}
    g = TransportGlobals(Ioff=0.0)
    current = iv_curves(p, WAVE, light=0.1, globals_=g).current_nA[0] * 1e-9
    noisy = current * (1.0 + 0.002 * np.random.default_rng(0).standard_normal(251))
    (fit,) = fit_iv(WAVE.voltage, noisy)
    assert fit.rms_share < 0.002
    for name in ("g1", "g2", "IL"):
        away = np.log(fit.parameters[name] / (200.0 * p[name][0]))
        assert abs(away) < 4.0 * fit.sigma[name]
    again = iv_curves(fit.parameters, WAVE, light=0.1, globals_=g).current_nA[0] * 1e-9
    assert np.abs(again + fit.offset - fit.current).max() < 1e-11 * 200


def test_a_fit_is_a_function_of_data_and_seed(synthetic):
    _, _, data, status, _ = synthetic
    one, two = (
        fit_iv(WAVE.voltage, data[0], clipped=status[0], window=WINDOW)[0] for _ in range(2)
    )
    assert one.parameters == two.parameters


def test_three_real_curves(shared_data):
    file = np.load(shared_data / "real_iv" / "real_iv_13.npz")
    some = [0, 5, 8]  # a weak diamond, a strong one, a conducting loop
    fits = fit_iv(
        file["voltage"],
        file["current_nA"][some] * 1e-9,
        clipped=file["status"][some],
        window=WINDOW,
    )
    shares = [fit.rms_share for fit in fits]
    assert max(shares) <= 0.025
    assert np.median(shares) <= 0.008


def test_curves_that_cannot_be_fitted_are_refused():
    with pytest.raises(DataError, match="visible samples"):
        fit_iv(WAVE.voltage, np.full(251, np.nan))
    with pytest.raises(DataError, match="window"):
        fit_iv(WAVE.voltage, np.zeros(251), clipped=np.r_[1, np.zeros(250)])
    with pytest.raises(DataError, match="like the voltage"):
        fit_iv(WAVE.voltage, np.zeros(250))
    with pytest.raises(DataError, match="visible range"):
        fit_iv(WAVE.voltage, np.zeros(251))
