"""The classifier against the transport model that knows the archetype, and against S26's words."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grainscout.analysis.curves.archetypes import (
    ARCHETYPE_NAMES,
    CONDUCTS,
    UNKNOWN,
    classification,
    classify,
)
from grainscout.analysis.curves.descriptors import describe
from grainscout.records import Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.transport import PARAMETERS, iv_curves

TRIANGLE = Waveform.triangle()
V = TRIANGLE.voltage


def blends(weights: np.ndarray, rng: np.random.Generator, spread: float) -> dict[str, np.ndarray]:
    """Parameters of convex mixtures (n, 3) of the archetypes, each scattered by `spread`."""
    values = {}
    for name, parameter in PARAMETERS.items():
        pure = np.array(parameter.archetypes, dtype=float)
        scatter = rng.normal(size=len(weights))
        if parameter.blend == "geometric" and (pure > 0).all():
            values[name] = np.exp(weights @ np.log(pure)) * np.exp(spread * scatter)
        else:
            shift = 0.3 * spread * scatter if name in ("V1", "V2", "Vx") else 0.0
            values[name] = weights @ pure + shift
    values["phiJ"] = np.zeros(len(weights))
    return values


@pytest.fixture(scope="module")
def labelled() -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """light -> (current [A], true index) for nearly pure, scattered spots and insulating ones."""
    rng = np.random.default_rng(11)
    true = np.repeat(np.arange(4), 150)
    weights = 0.85 * np.eye(3)[np.minimum(true, 2)] + 0.15 * rng.dirichlet([1, 1, 1], true.size)
    parameters = blends(weights, rng, spread=0.1)
    contact = np.where(true == 3, 2e-4, rng.lognormal(0, 0.25, true.size))
    sets = {}
    for light in (0.0, 0.1):
        current = iv_curves(parameters, TRIANGLE, light=light).current_nA
        sets[light] = (1e-9 * current * contact[:, None], true)
    return sets


def confusion(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    table = np.zeros((4, 5))
    np.add.at(table, (true, np.minimum(found, 4)), 1)
    return table / table.sum(axis=1, keepdims=True)


# Least share of each archetype that must be found, by light and noise [A].
LEAST = [
    (0.1, 0.0, 0.97),
    (0.1, 1e-12, 0.97),
    (0.1, 5e-12, 0.97),
    (0.1, 2e-11, 0.93),
    (0.0, 0.0, 0.93),
    (0.0, 5e-12, 0.93),
]


@pytest.mark.parametrize(("light", "noise", "least"), LEAST)
def test_confusion_with_the_truth_over_noise(labelled, light, noise, least):
    current, true = labelled[light]
    noisy = current + np.random.default_rng(5).normal(0, 1, current.shape) * noise
    table = confusion(classify(V, noisy), true)
    assert (np.diag(table) >= least).all(), np.round(table, 3)
    assert (table[:, 4] == 0).all()  # never UNKNOWN


def test_confidence_is_a_frequency(labelled):
    """Of blends called with probability p, about p are right: a calibration, not a slogan."""
    rng = np.random.default_rng(2)
    weights = rng.dirichlet([0.4] * 3, 1500)
    current = 1e-9 * iv_curves(blends(weights, rng, 0.1), TRIANGLE, light=0.1).current_nA
    found = classification(V, current + rng.normal(0, 2e-12, current.shape))
    right = found.archetype == weights.argmax(axis=1)
    # The centre of the main opening alone gets 0.79 of such blends right.
    assert right.mean() > 0.84
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        some = (found.confidence >= low) & (found.confidence < high)
        assert some.sum() > 40
        assert right[some].mean() == pytest.approx(found.confidence[some].mean(), abs=0.15)


def test_lobes_lie_in_the_published_windows():
    """S26: club 0.5-1.0 V, heart 0.7-1.3 V and low bias, diamond 1.3-1.5 V."""
    parameters = blends(np.eye(3), np.random.default_rng(0), 0.0)
    current = 1e-9 * iv_curves(parameters, TRIANGLE, light=0.1).current_nA
    found = classification(V, current)
    assert [ARCHETYPE_NAMES[i] for i in found.archetype] == ["club", "heart", "diamond"]
    lobes = found.lobes
    assert lobes.first == pytest.approx([0.55, 0.7, 1.3], abs=0.06)
    assert lobes.last == pytest.approx([1.0, 1.3, 1.48], abs=0.06)
    assert lobes.low_share[0] < 0.03 < 0.1 < lobes.low_share[1]
    # S26: a club turns on at about 0.2 V and a diamond at about 1.3 V.
    turn_on = describe("turn_on", V, current).value
    assert turn_on[0] == pytest.approx(0.25, abs=0.1)
    assert turn_on[2] == pytest.approx(1.3, abs=0.05)
    # The published bands order the archetypes as the paper says.
    bands = {name: describe(name, V, current).value for name in ("loop_0.5_1.0", "loop_1.3_1.5")}
    assert bands["loop_0.5_1.0"].argmin() == 2
    assert bands["loop_1.3_1.5"].argmax() == 2


def test_curves_without_evidence_are_unknown_with_confidence_zero():
    one_way = np.linspace(-0.22, 0.22, 200)
    assert classify(one_way, 1e-9 * one_way)[0] == UNKNOWN
    short = Waveform.triangle(peak=1.0)
    assert classify(short.voltage, 1e-9 * short.voltage)[0] == UNKNOWN
    lost = np.full((1, V.size), np.nan)
    found = classification(V, lost)
    assert found.archetype[0] == UNKNOWN
    assert found.confidence[0] == 0
    railed = classify(V, np.full((1, V.size), 1e-8), np.ones((1, V.size), bool))
    assert railed[0] == UNKNOWN


def test_a_curve_is_classified_the_same_in_any_company(labelled):
    current, _ = labelled[0.1]
    many, alone = classification(V, current), classification(V, current[77])
    assert np.array_equal(many.probability[77:78], alone.probability)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    odd=st.lists(
        st.one_of(st.floats(-1e-6, 1e-6), st.sampled_from([np.nan, np.inf, 1e300, 1e-320])),
        max_size=251,
    ),
    clip=st.booleans(),
)
def test_every_curve_gets_a_class_or_is_unknown(odd, clip):
    current = np.zeros((2, V.size))
    current[0, : len(odd)] = odd
    current[1] = 1e-9 * V
    found = classification(V, current, np.abs(current) > 1e-7 if clip else None)
    total = found.probability.sum(axis=1)
    known = found.archetype != UNKNOWN
    assert total[known] == pytest.approx(1.0)
    assert (total[~known] == 0).all()
    assert (found.confidence[known] >= 0.25).all()


def test_a_rail_hides_no_more_than_it_hides(labelled):
    """Of curves cut off at a quarter of their top, most are still told, and confidence is honest."""
    current, true = labelled[0.1]
    some = true < 3
    top = 0.25 * current.max(axis=1, keepdims=True)
    found = classification(V, np.minimum(current, top)[some], (current > top)[some])
    right = found.archetype == true[some]
    assert right.mean() > 0.85
    assert found.confidence.mean() == pytest.approx(right.mean(), abs=0.1)


@pytest.mark.parametrize("film", ["Gong2026", "Liu2023", "gong2026-fitted", "foreign-grain"])
@pytest.mark.parametrize("light", [0.0, 0.1])
def test_recall_on_films_with_barriers_in_the_dark(film, light):
    """Judged by the class of the noiseless curve: a closed junction is insulating, a late one a heart."""
    made = Film.generate(PRESETS[film], spawn_streams(73_000_000).film)
    rng, kind = np.random.default_rng(1), made.archetype
    sites = np.concatenate(
        [rng.permutation(np.argwhere(kind == k))[:80] for k in range(4)]
    )  # fmt: skip
    current, _ = made.curves(sites, TRIANGLE, light=light)
    true = np.where(np.ptp(current, axis=1) < CONDUCTS, 3, kind[tuple(sites.T)])
    table = confusion(classify(V, current + rng.normal(0, 2e-12, current.shape)), true)
    assert np.diag(table).mean() > 0.87, np.round(table, 2)


def test_real_curves(shared_data: Path):
    """The 13 digitised curves: one hardly conducts, two open at the end only, and both others are seen."""
    with np.load(shared_data / "real_iv" / "real_iv_13.npz") as data:
        voltage, status = data["voltage"], data["status"]
        current = np.where(status > 0, 0.5, np.where(status < 0, -0.1, data["current_nA"]))
    found = classify(voltage, 1e-9 * current, status != 0)
    assert found[[0, 5, 10]].tolist() == [2, 2, 3]
    others = np.bincount(np.delete(found, [0, 5, 10]))
    assert others.size == 2
    assert others.min() >= 3
