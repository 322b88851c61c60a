"""Figures: units on every axis, pixels where they belong, colours that all can tell apart."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from grainscout.analysis import figures
from grainscout.analysis.curves.forc import forc_density
from grainscout.analysis.forensics import boundary_choice
from grainscout.analysis.statistics import ranking
from grainscout.records import DataError, Scan, Waveform

RNG = np.random.default_rng(0)
PIXEL = (20e-9, 20e-9)
HEIGHT = RNG.normal(0, 1e-8, (32, 48))
SITES = RNG.integers(0, 32, (30, 2))
V = Waveform.triangle().voltage


def table() -> pd.DataFrame:
    rows = [
        pd.DataFrame({
            "task": task, "policy": policy, "film": film, "step": np.arange(1, 21),
            "found": np.minimum(np.arange(1, 21) * speed / 20, 1.0),
            "found_ideal": np.minimum(np.arange(1, 21) / 4, 1.0),
        })
        for task in ("dark", "light")
        for policy, speed in (("random", 0.6), ("dkl", 1.2))
        for film in range(4)
    ]  # fmt: skip
    return pd.concat(rows)


def all_figures() -> dict[str, Figure]:
    scan = Scan(channels={"height": HEIGHT}, pixel_size=PIXEL, units={"height": "m"})
    curves = 1e-9 * np.maximum(V - RNG.uniform(0.3, 1.0, (30, 1)), 0)
    kinds = RNG.integers(0, 4, 30)
    scores = RNG.normal([0, 0.5], 0.1, (6, 2))
    truth = 1e-10 * RNG.random((32, 48))
    forc = Waveform.forc(branches=6)
    family = forc_density(forc.voltage, 1e-9 * forc.voltage**2)
    ids = np.repeat(np.arange(32)[:, None] // 8, 48, axis=1)
    return {
        "sites": figures.sites_over_topography(scan, SITES, seeds=5, boundary=HEIGHT > 0),
        "maps": figures.predicted_vs_true(
            truth,
            2 * truth,
            0.1 * truth,
            pixel_size=PIXEL,
            name="loop_area",
            unit="A V",
            sites=SITES,
        ),
        "explain": figures.explain_maps({"mean": truth, "signed": HEIGHT}, pixel_size=PIXEL),
        "archetypes": figures.archetype_map(RNG.integers(0, 4, (128, 128)), pixel_size=PIXEL),
        "examples": figures.archetype_examples(
            V, curves, kinds, true_current=curves, true_archetype=kinds, steps=np.arange(1, 31)
        ),
        "cards": figures.curve_cards(V, curves[:4], patches=RNG.random((4, 16, 16))),
        "curves": figures.iv_curves(V, curves[:2], labels=["a", "b"]),
        "learning": figures.learning_curves(table(), "found", references={"ideal": "found_ideal"}),
        "ranking": figures.policy_ranking(
            [(r.name, r.score) for r in ranking(scores, ["random", "dkl"], samples=100)]
        ),
        "cost": figures.cost_benefit(
            {"a": [1.0, 2.0], "b": [3.0, 4.0]}, {"a": [0.1, 0.2], "b": [0.3, 0.4]}
        ),
        "forc": figures.forc_map(family),
        "density": figures.latent_density(RNG.normal(size=(300, 2)), np.arange(40), note="p = 0.5"),
        "profiles": figures.performance_profiles({"a": RNG.random(9), "random": RNG.random(9)}),
        "calibration": figures.calibration({"a": (truth, truth + 1e-11, 0.1 * truth)}),
        "boundaries": figures.boundary_visits(
            boundary_choice(SITES, ids, 0.0 * truth), ids, 0.0 * truth, pixel_size=PIXEL
        ),
        "properties": figures.property_maps(
            {"dark": {"loop_area": truth}, "0.1 sun": {"loop_area": 2 * truth}},
            pixel_size=PIXEL,
            units={"loop_area": "A V"},
        ),
        "diversity": figures.diversity_of_run({"spectral": RNG.random(30)}, seeds=5),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    return all_figures()


def test_every_axis_is_labelled_and_every_figure_can_be_saved(drawn, tmp_path):
    for name, figure in drawn.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=40)
        picture = image.imread(tmp_path / f"{name}.png")[..., :3]
        edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
        assert all((edge > 0.8).all() for edge in edges), f"{name} is cut off at its edge"
        for ax in figure.axes:
            if not ax.axison or figure.subfigs:
                continue
            assert ax.get_xlabel() or ax.get_ylabel() or ax.get_title(), name
        if figure.subfigs:
            continue
        first = figure.axes[0]
        ticks = [text.get_text() for text in first.get_yticklabels()]
        assert first.get_ylabel() or any(ticks), name


def test_a_site_is_drawn_on_its_pixel_with_row_0_on_top(drawn):
    ax = drawn["sites"].axes[0]
    dots = np.concatenate(
        [c.get_offsets() for c in ax.collections if len(c.get_offsets()) in (5, 25)]
    )
    expected = (SITES[:, ::-1] + 0.5) * 20.0  # columns are x; 640 x 960 nm is shown in nm
    assert np.allclose(dots, expected)
    assert "(nm)" in ax.get_xlabel()
    top, bottom = ax.get_ylim()[::-1]
    assert top < bottom


def test_an_image_is_shown_upright():
    image = np.zeros((32, 48))
    image[0, 0] = 1.0  # the top left corner
    ax = figures.explain_maps({"corner": image}, pixel_size=PIXEL).axes[0]
    shown = ax.images[0]
    assert shown.get_array()[0, 0] == 1.0
    assert shown.origin == "upper"
    assert tuple(shown.get_extent()) == pytest.approx((0, 960, 640, 0))


def test_a_card_shows_archetype_bounds_and_reasons():
    curve = np.minimum(1e-9 * np.maximum(V - 0.5, 0), 0.4e-9)
    figure = figures.curve_cards(V, curve, saturated=curve == 0.4e-9)
    words = " ".join(t.get_text() for card in figure.subfigs for ax in card.axes for t in ax.texts)
    assert "max current: > 400 pA" in words
    assert "hysteresis: at the amplifier's rail" in words
    assert "turn on: 510 mV" in words


def test_truth_and_prediction_share_their_colours(drawn):
    images = [ax.images[0] for ax in drawn["maps"].axes if ax.images]
    assert images[0].get_clim() == images[1].get_clim()
    assert images[0].get_cmap().name == images[1].get_cmap().name
    assert images[2].get_cmap().name != images[0].get_cmap().name


def test_the_learning_curve_shows_the_interquartile_mean(drawn):
    ax = drawn["learning"].axes[0]
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert lines["dkl"] == pytest.approx(np.minimum(np.arange(1, 21) * 1.2 / 20, 1.0))


def test_checkpoints_are_drawn_where_they_were_taken():
    part = table()
    sparse = part[part["step"].isin([5, 10, 20]) & (part["task"] == "dark")]
    ax = figures.learning_curves(sparse, "found").axes[0]
    line = next(line for line in ax.lines if line.get_label() == "dkl")
    assert line.get_xdata().tolist() == [5, 10, 20]
    assert line.get_ydata() == pytest.approx([0.3, 0.6, 1.0])


def test_a_policy_has_one_colour_in_all_figures(drawn):
    line = {line.get_label(): line.get_color() for line in drawn["learning"].axes[0].lines}
    dots = [line.get_color() for line in drawn["ranking"].axes[0].lines if line.get_marker() == "o"]
    assert {line["random"], line["dkl"]} == set(dots)


# Machado, Oliveira and Fernandes 2009: full deficiency, linear RGB.
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip


@pytest.mark.parametrize("kind", BLIND)
def test_colour_blind_people_can_tell_the_first_colours_apart(kind):
    def lab(colour: str) -> np.ndarray:
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen = np.clip(np.array(BLIND[kind]) @ linear, 0, 1)
        xyz = (
            np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
            @ seen
        )
        f = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 0.0089))
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    for group in ((*figures.PALETTE[:5], "#A0A0A0"), tuple(figures.ARCHETYPE_COLOURS.values())):
        for a, b in itertools.combinations(group, 2):
            assert np.linalg.norm(lab(a) - lab(b)) > 11, (a, b)


def test_units_are_made_readable():
    assert figures.engineering([2e-9, 1e-9], "A") == (pytest.approx(1e9), "nA")
    assert figures.engineering([3e-10], "A V") == (pytest.approx(1e12), "pA V")
    assert figures.engineering([0.5], "V") == (pytest.approx(1e3), "mV")
    assert figures.engineering([-9.0], "log10 A") == (1.0, "log10 A")
    assert figures.engineering([0.2], "1") == (1.0, "")
    assert figures.engineering([0.0, np.nan], "A") == (1.0, "A")


def test_pictures_without_contrast_and_bad_input():
    figures.explain_maps({"flat": np.ones((4, 4))}, pixel_size=PIXEL)
    with pytest.raises(DataError, match="finite pixel"):
        figures.explain_maps({"none": np.full((4, 4), np.nan)}, pixel_size=PIXEL)
    with pytest.raises(DataError, match="must lie on"):
        figures.archetype_map(np.zeros((4, 4), int), pixel_size=PIXEL, sites=[[9, 9]])
    with pytest.raises(DataError, match="columns"):
        figures.learning_curves(pd.DataFrame({"policy": []}), "found")
    with pytest.raises(DataError, match="at least one"):
        figures.policy_ranking([])


@pytest.mark.parametrize(
    ("used", "heavy"),
    [
        ("a.descriptors; a.archetypes; a.metrics", "torch matplotlib pandas seaborn sklearn"),
        ("a.figures; a.figures.learning_curves", "torch"),
    ],
)
def test_importing_the_package_is_light(used, heavy):
    """Nothing heavy until a figure, a table or a latent map is used."""
    code = (
        f"import sys; import grainscout.analysis as a; {used};"
        f"loaded = set({heavy.split()}) & set(sys.modules); sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_drawing_leaves_no_figure_behind(drawn):
    from matplotlib import pyplot as plt

    assert drawn
    assert plt.get_fignums() == []
