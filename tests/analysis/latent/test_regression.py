"""The regression of spectra on what lies about the site, and how fits stop and show their progress."""

import numpy as np
import pytest
from matplotlib import image

from grainscout.analysis.latent import (
    DecodedMap,
    RotationVAE,
    Training,
    latent_archetypes,
    latent_comparison,
    latent_map,
)
from grainscout.analysis.latent.cross_modal import CrossModalRegression, site_invariants
from grainscout.records import DataError


def scene(turn: float, w: int = 17) -> np.ndarray:
    """A smooth scene turned about the site [w // 2, w // 2]."""
    axis = np.arange(w) - w // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    a = x * np.cos(turn) + y * np.sin(turn)
    b = y * np.cos(turn) - x * np.sin(turn)
    return np.exp(-((a - 1.5) ** 2 / 12 + b**2 / 5)) + 0.05 * a + 0.01 * a * b


def test_what_is_read_about_the_site_does_not_turn():
    turns = (0.0, np.pi / 2, 0.6, -2.0)
    found = site_invariants(np.array([scene(t) for t in turns])[:, None])
    assert found[1] == pytest.approx(found[0], rel=1e-9, abs=1e-12)
    # Between pixels' axes the finest masks (1 pixel) are a little square.
    spread = np.abs(found[0]).max()
    assert np.abs(found[2:] - found[0]).max() < 0.01 * spread
    shifted = site_invariants(np.roll(scene(0.0), 2, axis=1)[None, None])
    assert np.abs(shifted - found[0]).max() > 0.2 * spread
    raised = site_invariants(scene(0.0)[None, None] + 5.0)
    assert raised[0] == pytest.approx(found[0], abs=1e-9)


def test_a_relation_is_learnt_and_without_one_the_prediction_is_the_mean():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(220, 6)) * np.array([1e-9, 1, 1, 1, 1e3, 1])
    y = np.column_stack([np.tanh(x[:, 1] * x[:, 2]), 1e9 * x[:, 0]]) + rng.normal(0, 0.1, (220, 2))
    link = CrossModalRegression.fit(x[:160], y[:160])
    rest = y[160:] - link.predict(x[160:])
    assert (rest.var(axis=0) < 0.25 * y[160:].var(axis=0)).all()
    # Its stated scatter is that of pairs that it has not seen.
    assert rest.std(axis=0) == pytest.approx(np.sqrt(np.diag(link.scatter @ link.scatter.T)), rel=0.4)  # fmt: skip
    none = CrossModalRegression.fit(x[:160], rng.permutation(y[:160]))
    assert none.predict(x[160:]).std(axis=0).max() < 0.15 * y.std(axis=0).min()


def test_training_stops_when_held_out_patches_get_no_better():
    patches = np.random.default_rng(0).normal(size=(24, 8, 8))  # noise: nothing to learn
    slow = Training(epochs=40, patience=3)
    found = RotationVAE.fit(patches, training=slow, seed=1).history
    assert found.stopped_early
    assert len(found.held_out) == found.best + 1 + 3
    assert found.best == found.held_out.argmin()


def test_progress_is_shown_on_request_and_changes_nothing(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    patches = np.random.default_rng(0).normal(size=(16, 8, 8))
    quiet = RotationVAE.fit(patches, training=Training(epochs=2), seed=1)
    assert capsys.readouterr().out == ""
    shown = RotationVAE.fit(patches, training=Training(epochs=2), seed=1, progress=True)
    assert np.array_equal(shown.encode(patches).content, quiet.encode(patches).content)
    assert "nats" in capsys.readouterr().out


def decoded(spectra: bool) -> DecodedMap:
    grid = np.linspace(-1, 1, 4)
    rng = np.random.default_rng(0)
    return DecodedMap(
        axes=(0, 1), first=grid, second=grid, points=rng.normal(size=(4, 4, 2)),
        images=rng.normal(size=(4, 4, 1, 6, 6)), spectra=rng.normal(size=(4, 4, 1, 9)) if spectra else None,
        supported=np.eye(4, dtype=bool),
    )  # fmt: skip


def test_compared_maps_show_their_support():
    drawn = latent_comparison({"published": decoded(True), "ours": decoded(True)})
    titles = [ax.get_title(loc="left") for ax in drawn.axes]
    assert titles[0] == "published: images (25% of cells on data)"
    assert titles[3] == "ours: spectra at the same points"
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in drawn.axes)
    # 12 of 16 cells of each of the four panels are crossed out, by two lines each, besides outlines.
    for ax in drawn.axes:
        crosses = [line for line in ax.lines if line.get_color() == "#999999"]
        assert len(crosses) == 2 * 12
    with pytest.raises(DataError, match="must have spectra; ours"):
        latent_comparison({"ours": decoded(False)})


def test_no_picture_of_a_map_is_cut_off_at_its_edge(tmp_path):
    square, voltage = decoded(True), [0.0, 1.5, 0.0]
    rng = np.random.default_rng(1)
    for drawn in (
        latent_map(square, voltage=voltage, known=rng.uniform(-1, 1, (40, 2))),
        latent_map(decoded(False)),
        latent_comparison({"a": square, "b": square}, voltage=voltage),
        latent_archetypes({"a": rng.normal(size=(9, 2))}, np.arange(9) % 4, notes={"a": "score"}),
    ):
        drawn.savefig(tmp_path / "map.png", dpi=60)
        picture = image.imread(tmp_path / "map.png")[..., :3]
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge > 0.8).all()


def test_maps_side_by_side_show_each_curve_once_with_its_archetype():
    rng = np.random.default_rng(0)
    kinds, maps = np.array([0] * 5 + [1] * 3 + [3]), {"a": rng.normal(size=(9, 2)), "b": rng.normal(size=(9, 2)), "c": rng.normal(size=(9, 3))}  # fmt: skip
    drawn = latent_archetypes(maps, kinds, notes={"b": "score 0.9"}, held_out=[2, 8])
    shown = [ax for ax in drawn.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in shown] == ["a", "b", "c"]
    assert "score 0.9" in [text.get_text() for text in shown[1].texts]
    for ax, z in zip(shown, maps.values(), strict=True):
        dots = {c.get_label(): c.get_offsets().data for c in ax.collections}
        assert list(dots) == ["club (5)", "heart (3)", "insulating (1)", "held out"]
        assert np.array_equal(dots["heart (3)"], z[5:8, :2])
        assert np.array_equal(dots["held out"], z[[2, 8], :2])
    with pytest.raises(DataError, match="of the n = 8 curves"):
        latent_archetypes(maps, kinds[:8])
    with pytest.raises(DataError, match="archetype indices must be 0 to 3"):
        latent_archetypes(maps, kinds + 4)
