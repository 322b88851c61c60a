"""Forensics: known answers, SciPy's energy distance, and the level of every test."""

import numpy as np
import pytest
from scipy import stats

from grainscout.analysis.curves.forc import forc_density
from grainscout.analysis.forensics import (
    boundary_choice,
    choice_drivers,
    counterfactual,
    density_test,
    light_difference,
    patch_components,
)
from grainscout.records import DataError, Waveform
from grainscout.simulator.transport import PARAMETERS, iv_curves

PURE = {name: np.array(p.archetypes) for name, p in PARAMETERS.items()}


def test_energy_distance_is_scipys_in_one_dimension():
    rng = np.random.default_rng(0)
    features = rng.normal(size=400)
    visited = np.argsort(features)[-30:]
    found = density_test(features, visited, permutations=99)
    assert found.distance == pytest.approx(stats.energy_distance(features[visited], features))
    assert found.p_value == 0.01


def test_energy_test_keeps_its_level_and_finds_a_shift():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(600, 2))
    p = [
        density_test(features, rng.choice(600, 25, replace=False), permutations=99, seed=k).p_value
        for k in range(120)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert np.mean(p) == pytest.approx(0.5, abs=0.12)
    corner = np.flatnonzero(features[:, 0] > 0.8)[:25]
    assert density_test(features, corner, permutations=199).p_value < 0.01


def test_many_candidates_are_sampled_without_changing_the_answer():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(6000, 2))
    visited = np.flatnonzero(np.abs(features[:, 1]) > 2)[:100]
    sampled = density_test(features, visited, permutations=19)
    exact = stats.energy_distance(features[visited, 1], features[:, 1])
    assert sampled.distance > 0.5 * exact
    assert sampled.distance > 3 * sampled.expected


def test_patch_components_are_scikit_learns():
    from sklearn.decomposition import PCA

    image = np.random.default_rng(7).normal(size=(24, 30)).cumsum(axis=0)
    sites = np.argwhere(np.ones((9, 15), bool)) + 8
    found = patch_components(image, sites, window=16, components=3)
    patches = np.stack([image[r - 8 : r + 8, c - 8 : c + 8].ravel() for r, c in sites])
    patches -= patches.mean(axis=1, keepdims=True)
    peer = PCA(3, svd_solver="full").fit_transform(patches)
    for k in range(3):
        assert abs(np.corrcoef(found[:, k], peer[:, k])[0, 1]) == pytest.approx(1.0)
        assert found[:, k].std() == pytest.approx(peer[:, k].std())
    with pytest.raises(DataError, match="full 16 x 16 window"):
        patch_components(image, [[7, 8]])


def test_drivers_name_the_property_that_was_chosen_by():
    rng = np.random.default_rng(3)
    distance, slope, noise = rng.exponential(1, 2000), rng.normal(size=2000), rng.normal(size=2000)
    visited = rng.choice(np.flatnonzero(distance + 0.05 * slope < 0.3), 60, replace=False)
    table = choice_drivers(
        {"slope": slope, "noise": noise, "boundary_distance": distance}, visited, permutations=499
    )
    assert table["property"].tolist()[0] == "boundary_distance"
    rows = table.set_index("property")
    assert rows.loc["boundary_distance", "effect"] < -0.5
    assert rows.loc["boundary_distance", "p_adjusted"] < 0.02
    assert rows.loc["noise", "p"] > 0.01


def test_boundary_visits_against_their_share():
    ids = np.repeat(np.arange(4)[:, None], 50, axis=1)
    distance = np.zeros((4, 50))
    distance[3] = 1e-6  # far from any boundary
    rng = np.random.default_rng(4)
    often = np.column_stack([np.full(40, 2), rng.integers(0, 50, 40)])
    others = np.column_stack([rng.integers(0, 2, 20), rng.integers(0, 50, 20)])
    table = boundary_choice(np.concatenate([often, others, [[3, 0]]]), ids, distance)
    assert table["boundary"].tolist()[0] == 2
    assert set(table["boundary"]) == {0, 1, 2}
    assert table["visits"].sum() == 60
    assert table["expected"].to_numpy() == pytest.approx(20)
    first = table.iloc[0]
    assert first["p"] == pytest.approx(stats.binomtest(40, 60, 1 / 3).pvalue)
    assert first["p_adjusted"] < 0.001


def test_counterfactual_descriptors_of_a_trace():
    wave = Waveform.triangle()
    current = 1e-9 * iv_curves(PURE, wave, light=0.1).current_nA
    values, summary = counterfactual(wave.voltage, current, target="loop_area")
    rows = summary.set_index("descriptor")
    assert len(values) == 3
    assert rows.loc["turn_on", "best_step"] == 3  # the diamond
    assert rows.loc["loop_area", "rank_correlation_with_target"] == pytest.approx(1)
    assert rows.loc["rectification", "valid"] == 0
    assert np.isnan(rows.loc["rectification", "best"])


def test_light_makes_current_and_a_negative_current_at_zero_bias():
    wave = Waveform.triangle()
    rng = np.random.default_rng(5)
    dark, light = (
        1e-9 * iv_curves(PURE, wave, light=s).current_nA + rng.normal(0, 1e-12, (3, 251))
        for s in (0.0, 0.1)
    )
    table = light_difference(wave.voltage, dark, light)
    maximum = table[table["descriptor"] == "max_current"]
    assert (maximum["difference"] > 0).all()
    assert maximum["clear"].all()
    zero = table[table["descriptor"] == "zero_bias_current"]
    assert (zero["difference"] < 0).all()
    nothing = light_difference(wave.voltage, dark, dark + rng.normal(0, 1e-12, (3, 251)))
    assert not nothing[nothing["descriptor"] == "zero_bias_current"]["clear"].any()


def test_a_contact_that_turns_on_only_in_light_has_a_bounded_difference():
    wave = Waveform.triangle()
    noise = np.random.default_rng(6).normal(0, 1e-12, (1, 251))
    light = 1e-9 * iv_curves(PURE, wave, light=0.1).current_nA[:1] + noise
    row = light_difference(wave.voltage, noise, light, names=["turn_on"]).iloc[0]
    assert row["bound"] == "at most"
    assert row["difference"] < -0.5


def test_forc_density_of_known_surfaces():
    wave = Waveform.forc(branches=9, rate=1.5)
    reversal = np.empty(wave.voltage.size)
    at = 0
    for k in range(1, 10):
        n = 2 * int(np.ceil(1.5 * k / 9 / 0.012 - 1e-9))
        reversal[at : at + n + 1] = 1.5 * k / 9
        at += n
    found = forc_density(wave.voltage, 2e-9 * reversal * wave.voltage + 1e-9 * wave.voltage**2)
    assert found.reversal == pytest.approx(1.5 * np.arange(1, 10) / 9)
    inside = np.isfinite(found.density)
    assert inside.sum() > 100
    assert found.density[inside] == pytest.approx(-1e-9, rel=1e-6)
    flat = forc_density(wave.voltage, 3e-9 * np.sin(wave.voltage))
    assert np.nanmax(np.abs(flat.density)) < 1e-12  # interpolation only


def test_forc_density_appears_with_the_activation_window():
    """A club activates at about 0.74 V: reversals below leave no trace, those around it do."""
    wave = Waveform.forc(branches=15, rate=3.0)
    current = 1e-9 * iv_curves({k: v[:1] for k, v in PURE.items()}, wave, light=0.0).current_nA
    found = forc_density(wave.voltage, current)
    strength = np.nanmax(np.abs(found.density[0, 1:-1]), axis=1)
    peak = found.reversal[1:-1][strength.argmax()]
    assert 0.7 < peak < 1.3
    assert strength[found.reversal[1:-1] <= 0.4].max() < 0.05 * strength.max()


def test_an_image_without_contrast_shows_no_choice():
    sites = np.argwhere(np.ones((30, 30), bool)) + 8
    space = patch_components(np.full((46, 46), 3e-9), sites)
    found = density_test(space, np.arange(40), permutations=49)
    assert (found.distance, found.expected, found.p_value) == (0.0, 0.0, 1.0)
    (row,) = choice_drivers({"flat": np.ones(900)}, np.arange(40), permutations=49).itertuples()
    assert (row.effect, row.p) == (0.0, 1.0)


def test_bad_input_is_named():
    with pytest.raises(DataError, match="indices of the 10 candidates"):
        density_test(np.zeros((10, 2)), [10])
    with pytest.raises(DataError, match="at least 3 triangles"):
        forc_density(Waveform.triangle().voltage, np.zeros(251))
    with pytest.raises(DataError, match="one shape"):
        boundary_choice([[0, 0]], np.zeros((2, 2), int), np.zeros((3, 3)))
