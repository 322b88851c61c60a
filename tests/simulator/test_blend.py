"""Parameter maps from the microstructure."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import trapezoid

from grainscout.microstructure.structure import BOUNDARY_DTYPE, GRAIN_DTYPE, Structure
from grainscout.records import ConfigError, Waveform
from grainscout.simulator.film.blend import (
    TransportSpec,
    archetype_weights,
    contact_factor,
    parameter_maps,
)
from grainscout.simulator.film.placement import SHARES
from grainscout.simulator.transport import PARAMETERS, archetype_parameters, iv_curves
from grainscout.simulator.transport.spec import PLACEMENTS

PIXEL = 10e-9
TRIANGLE = Waveform.triangle()
QUIET = TransportSpec(
    composition=0.0, boundary_spread=0.0, hidden=0.0, insulating_fraction=0.0, tip_radius=0.0
)


def checkerboard(blocks=4, size=40, strength=1.0):
    """Square grains; vertical boundaries are asymmetric (sharp on the left), horizontal ones not."""
    n = blocks * size
    row, column = np.mgrid[:n, :n]
    labels = row // size * blocks + column // size
    to_line = np.abs((np.arange(n) + 0.5) % size)
    line = np.minimum(to_line, size - to_line) * PIXEL
    lines = np.arange(1, blocks) * size - 0.5
    line = np.abs(np.arange(n)[:, None] - lines).min(1) * PIXEL
    vertical, horizontal = np.broadcast_to(line, (n, n)), np.broadcast_to(line[:, None], (n, n))
    nearer = vertical < horizontal
    number = np.abs(np.arange(n)[:, None] - lines).argmin(1)
    identity = np.where(nearer, number, blocks - 1 + number[:, None])
    side = np.sign(np.arange(n) - lines[number])
    count = 2 * (blocks - 1)
    return Structure(
        labels=labels.astype(np.int32),
        boundary_id=identity.astype(np.int32),
        boundary=np.minimum(vertical, horizontal) < PIXEL,
        boundary_distance=np.minimum(vertical, horizontal),
        junction_distance=np.hypot(vertical, horizontal),
        asymmetry=np.where(nearer, strength * side, 0.0),
        height=np.zeros((n, n)),
        pixel_size=(PIXEL, PIXEL),
        grains=np.zeros(blocks**2, GRAIN_DTYPE),
        boundaries=np.zeros(count, BOUNDARY_DTYPE),
        vertices=np.array([(a, b, 4.0) for a in lines for b in lines]),
    )


def flat(maps, at=...):
    return {name: array[at].reshape(-1) for name, array in maps.parameters.items()}


def test_weights_follow_the_formula_and_sum_to_one():
    structure = checkerboard(strength=0.7)
    weights, pb, pj = archetype_weights(structure, TransportSpec())
    assert np.allclose(weights.sum(-1), 1.0)
    assert (weights >= 0.0).all()
    d, j = structure.boundary_distance[17, 23], structure.junction_distance[17, 23]
    assert pb[17, 23] == pytest.approx(np.exp(-((d / 30e-9) ** 2) / 2))
    assert pj[17, 23] == pytest.approx(np.exp(-((j / 38e-9) ** 2) / 2))
    # Grain centres are clubs, junctions hearts, asymmetric boundaries diamonds.
    assert weights[20, 20].argmax() == 0
    assert weights[39, 39].argmax() == 1
    assert weights[20, 39].argmax() == 2
    assert weights[39, 20].argmax() == 1


def test_archetypes_sit_where_the_placement_says_and_barriers_stay_at_junctions():
    structure, spec = checkerboard(blocks=8), replace(QUIET, composition=1.0)
    maps = {
        name: parameter_maps(structure, replace(spec, placement=name), np.random.default_rng(1))
        for name in PLACEMENTS
    }
    # A grain's centre, a junction, an asymmetric and a symmetric boundary.
    places = ([20, 39, 20, 39], [20, 39, 39, 20])
    kinds = {name: maps[name].archetype[places].tolist() for name in PLACEMENTS}
    assert kinds["published"] == [0, 1, 2, 1]
    assert kinds["swapped"] == [0, 2, 1, 2]
    assert kinds["cycled"] == [1, 2, 0, 2]
    assert kinds["junctions"] == [0, 2, 1, 1]
    for name in ("grain", "composition", "nowhere"):
        kind, labels = maps[name].archetype, structure.labels
        shares = np.bincount(kind.ravel(), minlength=3) / kind.size
        assert shares == pytest.approx(SHARES, abs=0.04)
        purity = np.mean([np.ptp(kind[labels == grain]) == 0 for grain in range(64)])
        assert purity == 1.0 if name != "nowhere" else purity < 0.9
        assert np.ptp(kind[structure.boundary]) == 2  # boundaries tell nothing
    by = maps["composition"].composition[structure.labels]
    assert (
        by[maps["composition"].archetype == 0].max() < by[maps["composition"].archetype == 2].min()
    )
    for made in maps.values():
        assert np.allclose(made.weights.sum(-1), 1.0)
        assert np.array_equal(made.parameters["phiJ"], maps["published"].parameters["phiJ"])


def test_a_placement_that_cannot_tell_three_kinds_apart_is_refused():
    with pytest.raises(ConfigError, match="placement 'composition' needs a film on which"):
        parameter_maps(
            checkerboard(), replace(QUIET, placement="composition"), np.random.default_rng(0)
        )


def test_without_randomness_pure_points_are_the_archetypes():
    maps = parameter_maps(checkerboard(size=80), QUIET, np.random.default_rng(0))
    club = archetype_parameters("club")
    for name in PARAMETERS:
        assert maps.parameters[name][40, 40] == pytest.approx(club[name][0], rel=1e-9, abs=1e-9)
    assert set(np.unique(maps.archetype)) == {0, 1, 2}
    assert maps.parameters["phiJ"].max() == pytest.approx(1.2, rel=0.02)


def test_half_way_voltages_mix_linearly_and_conductances_geometrically():
    structure = checkerboard()
    half = structure.boundary_distance * 0.0 + 30e-9 * np.sqrt(2.0 * np.log(2.0))
    structure = replace(
        structure, boundary_distance=half, junction_distance=half * np.inf, asymmetry=half * 0.0
    )
    p = parameter_maps(structure, QUIET, np.random.default_rng(0)).parameters
    club, heart = archetype_parameters("club"), archetype_parameters("heart")
    assert p["V1"][0, 0] == pytest.approx((club["V1"][0] + heart["V1"][0]) / 2)
    assert p["g2"][0, 0] == pytest.approx(np.sqrt(club["g2"][0] * heart["g2"][0]))


def test_the_hidden_field_has_unit_variance_and_its_length():
    structure = checkerboard(blocks=10)
    spec = TransportSpec(hidden_length=50e-9)
    fields = [parameter_maps(structure, spec, np.random.default_rng(s)).hidden for s in range(4)]
    assert np.mean([f.var() for f in fields]) == pytest.approx(1.0, abs=0.1)
    lag = 5  # one length
    correlation = np.mean([(f[:, :-lag] * f[:, lag:]).mean() for f in fields])
    assert correlation == pytest.approx(np.exp(-0.25), abs=0.05)


def test_hidden_and_composition_do_not_follow_the_boundaries():
    structure = checkerboard(blocks=8)
    maps = parameter_maps(structure, TransportSpec(), np.random.default_rng(0))
    near = structure.boundary_distance < 40e-9
    assert abs(maps.hidden[near].mean() - maps.hidden[~near].mean()) < 0.3


@pytest.mark.parametrize("fraction", [0.0, 0.06, 0.3])
def test_insulating_disks_cover_their_share_and_do_not_conduct(fraction):
    structure = checkerboard(blocks=8)
    spec = TransportSpec(insulating_fraction=fraction)
    maps = parameter_maps(structure, spec, np.random.default_rng(1))
    insulating = maps.archetype == 3
    assert insulating.mean() == pytest.approx(fraction, abs=0.01)
    assert np.array_equal(insulating, maps.weights[..., 3] == 1.0)
    assert np.allclose(maps.weights.sum(-1), 1.0)
    if fraction:
        current = iv_curves(flat(maps, insulating), TRIANGLE, light=0.1).current_nA
        assert np.abs(current).max() < 0.01


def test_contact_factor_of_a_plane_a_slope_and_a_valley():
    structure = checkerboard()
    rows, columns = np.mgrid[: structure.shape[0], : structure.shape[1]] * PIXEL
    middle = (slice(20, -20), slice(20, -20))
    plane = contact_factor(structure, 25e-9)
    assert np.allclose(plane, 1.0)
    slope = contact_factor(replace(structure, height=0.5 * rows), 25e-9)
    assert np.allclose(slope[middle], (1.0 / np.sqrt(1.25)) ** (2 / 3))
    # A valley of radius 50 nm all round holds a 25 nm tip as a tip of 50 nm holds a plane.
    x = (columns - columns.mean()) ** 2 + (rows - rows.mean()) ** 2
    valley = contact_factor(replace(structure, height=0.5 * x / 50e-9), 25e-9)
    centre = structure.shape[0] // 2
    assert valley[centre, centre] == pytest.approx(2.0 ** (2 / 3), rel=0.01)
    hill = contact_factor(replace(structure, height=-0.5 * x / 50e-9), 25e-9)
    assert hill[centre, centre] == pytest.approx(1.0, rel=0.01)
    assert hill.max() <= 1.0


def areas(maps, at=...):
    current = iv_curves(flat(maps, at), TRIANGLE, light=0.1).current_nA
    return -trapezoid(current, TRIANGLE.voltage, axis=1)


@pytest.mark.parametrize("contrast", [1.0, 0.0, -0.9])
def test_the_boundary_contrast_is_the_one_set(contrast):
    structure = checkerboard(strength=0.0, size=80)
    spec = replace(QUIET, boundary_contrast=contrast, junction_barrier=0.0)
    maps = parameter_maps(structure, spec, np.random.default_rng(0))
    # The pixels nearest to a boundary are half a pixel off: close to pure hearts.
    edge = areas(maps, (slice(79, 80), slice(40, 41)))
    grain = areas(maps, (slice(40, 41), slice(40, 41)))
    assert np.log(edge[0] / grain[0]) == pytest.approx(contrast, abs=0.05)
    total = maps.parameters["g1"] + maps.parameters["g2"]
    assert total[40, 40] == pytest.approx(0.62 + 0.50)
    # Junctions stay insulating in the dark and conduct in light, whatever the contrast.
    spec = replace(QUIET, boundary_contrast=contrast)
    junction = parameter_maps(structure, spec, np.random.default_rng(0))
    for light, low, high in ((0.0, 0.0, 0.05), (0.1, 0.5, 9.0)):
        top, inside = (
            iv_curves(flat(junction, (slice(r, r + 1), slice(r, r + 1))), TRIANGLE, light=light)
            .current_nA.max()
            for r in (79, 40)
        )  # fmt: skip
        assert low <= max(top, 0.0) / inside <= high


def test_an_unreachable_contrast_is_refused_with_the_range():
    with pytest.raises(ConfigError, match=r"boundary_contrast must be in -1\.\d\d \.\.\. \d"):
        parameter_maps(
            checkerboard(), replace(QUIET, boundary_contrast=-3.0), np.random.default_rng(0)
        )


@pytest.mark.parametrize("share", [1.0, 0.8, 0.4])
def test_structure_explains_the_share_that_was_set(share):
    structure = checkerboard(blocks=6, size=24)
    spec = TransportSpec(structure_share=share, insulating_fraction=0.0, junction_barrier=0.0)
    maps = parameter_maps(structure, spec, np.random.default_rng(2))
    bare = parameter_maps(structure, replace(spec, structure_share=1.0), np.random.default_rng(2))
    explained = np.corrcoef(areas(maps), areas(bare))[0, 1] ** 2
    assert explained == pytest.approx(share, abs=0.03)


def test_a_film_without_structure_has_no_share_to_set():
    one = checkerboard()
    far = np.full(one.shape, np.inf)
    bare = replace(one, boundary_distance=far, junction_distance=far)
    with pytest.raises(ConfigError, match="without structure"):
        parameter_maps(bare, replace(QUIET, structure_share=0.5), np.random.default_rng(0))
    assert set(np.unique(parameter_maps(bare, QUIET, np.random.default_rng(0)).archetype)) == {0}


def test_faster_ions_at_boundaries_can_be_set_in_either_sign():
    structure = checkerboard(strength=0.0)
    for sign in (-1.0, 1.0):
        spec = replace(QUIET, boundary_rates=sign)
        maps = parameter_maps(structure, spec, np.random.default_rng(0))
        plain = parameter_maps(structure, QUIET, np.random.default_rng(0))
        ratio = np.log(maps.parameters["nu"] / plain.parameters["nu"])
        assert np.sign(ratio[39, 20]) == sign
        slower = np.log(maps.parameters["tau"] / plain.parameters["tau"])
        assert np.allclose(slower, -ratio, atol=1e-12)


def test_a_composition_gradient_runs_along_its_axis():
    spec = replace(QUIET, gradient=4.0, gradient_axis=0)
    p = parameter_maps(checkerboard(), spec, np.random.default_rng(0)).parameters
    plain = parameter_maps(checkerboard(), QUIET, np.random.default_rng(0)).parameters
    change = p["V1"] - plain["V1"]
    assert np.allclose(change, change[:, :1])
    assert change[-1, 0] - change[0, 0] == pytest.approx(4.0 * 0.02)


def test_films_differ_in_their_archetypes_only_if_asked():
    one, two = (
        parameter_maps(checkerboard(), replace(QUIET, film_spread=s), np.random.default_rng(7))
        for s in (0.0, 1.0)
    )
    assert one.archetypes["V1"].tolist() == list(PARAMETERS["V1"].archetypes)
    assert 0.001 < np.abs(one.archetypes["V1"] - two.archetypes["V1"]).max() < 0.15
    current = iv_curves(flat(two), Waveform.constant(-1.5), light=0.0).current_nA
    assert np.isfinite(current).all()


def test_ripple_and_telegraph_reach_the_points():
    spec = replace(QUIET, ripple=0.02, telegraph=0.2)
    p = parameter_maps(checkerboard(), spec, np.random.default_rng(0)).parameters
    assert np.allclose(p["ripple"], 0.02)
    assert np.allclose(p["telegraph"], 0.2)
    assert p["ripple_phase"].std() > 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"placement": "anywhere"}, "placement must be one of published, swapped.*'anywhere'"),
        ({"boundary_length": 0.0}, "boundary_length must be 1e-10"),
        ({"insulating_fraction": 1.5}, "insulating_fraction"),
        ({"composition": float("nan")}, "composition"),
        ({"archetypes": {"speed": (1.0, 2.0, 3.0)}}, "speed"),
        ({"archetypes": {"V1": (1.0, 2.0)}}, "V1"),
        ({"archetypes": {"g1": (1.0, 0.0, 1.0)}}, r"g1 must be in 0 \.\.\. 10000 nA/V and above 0"),
        ({"archetypes": {"w": (0.1, 0.1, float("nan"))}}, "w must be in"),
    ],
)
def test_a_bad_specification_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        TransportSpec(**change)
