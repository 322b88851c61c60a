"""The dual map on related pairs, on exchanged pairs, and on a film with known archetypes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from grainscout.analysis.latent import (
    DualOptions,
    DualVAE,
    PublishedDualVAE,
    RotationVAE,
    Training,
    decoded_map,
    judge,
    latent_map,
    latent_scatter,
    patches_at,
)
from grainscout.analysis.latent.maps import DecodedMap
from grainscout.records import ConfigError, DataError

W = 10


def linked(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patches of a turned double blob, two-channel spectra that follow its width, and the width."""
    rng = np.random.default_rng(seed)
    kind, angle = rng.uniform(-1, 1, n), rng.uniform(-np.pi, np.pi, n)
    axis = np.arange(W) - (W - 1) / 2
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    r = cos * axis[:, None] - sin * axis
    c = sin * axis[:, None] + cos * axis
    d = (2.3 + 1.2 * kind)[:, None, None]
    patches = np.exp(-((c - d) ** 2 + r**2) / 4) - 0.7 * np.exp(-((c + d) ** 2 + r**2) / 4)
    v = np.linspace(0, 1.5, 40)
    turn_on = (0.75 + 0.35 * kind)[:, None]
    dark = np.log1p(np.exp((v - turn_on) / 0.05))
    spectra = 1e-9 * np.stack([dark, dark - 4 * np.exp(-v)], axis=1)
    patches = 1e-8 * (patches + rng.normal(0, 0.05, patches.shape))
    return patches, spectra + rng.normal(0, 2e-10, spectra.shape), kind


PATCHES, SPECTRA, KIND = linked(140, 0)
SHORT = Training(epochs=60, batch=12)


@pytest.fixture(scope="module")
def model() -> DualVAE:
    return DualVAE.fit(PATCHES, SPECTRA, training=SHORT, seed=2)


@pytest.fixture(scope="module")
def joint(model) -> np.ndarray:
    return model.encode(PATCHES, SPECTRA)


def test_an_image_finds_its_spectrum_among_held_out_ones(model):
    found = judge(model, PATCHES, SPECTRA, (KIND > 0).astype(int), permutations=999)
    assert found.n == 28
    assert found.retrieval.rank < 0.15
    assert found.retrieval.p_value <= 0.001
    assert found.predicted > 0.8
    assert found.correlations.max() > 0.85
    assert found.active_image.all()
    assert found.active_spectrum.all()
    for part in (found.image, found.spectrum, found.joint):
        assert part.balanced_accuracy > 0.85
        assert part.p_value < 0.01
    assert found.image_explained > 0.9
    assert found.spectrum_explained > 0.95
    assert any("mean rank" in line for line in found.lines())


def test_exchanged_pairs_are_at_chance():
    """The same data with partners exchanged: whatever training makes of it, held-out pairs tell."""
    other = np.random.default_rng(0).permutation(len(SPECTRA))
    wrong = DualVAE.fit(PATCHES, SPECTRA[other], training=Training(epochs=15), seed=2)
    found = judge(wrong, PATCHES, SPECTRA[other], permutations=999)
    assert 0.35 < found.retrieval.rank < 0.65
    assert found.retrieval.p_value > 0.05
    assert found.predicted < 0.15
    assert found.joint is None


def test_both_halves_of_a_cell_show_the_same_point(model, joint):
    """Where the image's blobs are wide, the spectrum turns on late: A is undone once, not twice."""
    decoded = decoded_map(model, joint, size=7)
    assert decoded.points[2, 5] == pytest.approx([decoded.first[5], decoded.second[2]])
    assert decoded.spectra[2, 5] == pytest.approx(
        model.decode_spectrum(decoded.points[2, 5][None])[0], abs=1e-13
    )
    # Encoding what was decoded leads back to the point, for both halves.
    inside = decoded.points[decoded.supported]
    back, _ = model.encode_spectrum(model.decode_spectrum(inside))
    spread = joint.std(axis=0).max()
    assert np.abs(back - inside).mean() < 0.25 * spread
    image_back = model.encode_image(model.decode_image(inside)).content
    assert np.abs(image_back - inside).mean() < 0.25 * spread


def test_cells_without_data_are_marked(model, joint):
    decoded = decoded_map(model, joint, size=10)
    assert decoded.images.shape == (10, 10, 1, W, W)
    assert decoded.spectra.shape == (10, 10, 2, 40)
    assert 0.05 < decoded.supported.mean() < 0.95
    far = decoded_map(model, joint, size=3, centre=joint.mean(axis=0) + 50, zoom=2.0)
    assert not far.supported.any()
    near = decoded_map(model, joint, size=30, centre=np.median(joint, axis=0), zoom=2.0)
    assert near.images.shape[:2] == (30, 30)
    assert np.ptp(near.first) == pytest.approx(np.ptp(decoded.first) / 2)


def test_figures_are_drawn(model, joint):
    truth, spectra, voltage = np.arange(len(joint)) % 4, SPECTRA, np.linspace(0, 1.5, 40)
    for size in (4, 18):
        decoded = decoded_map(model, joint, size=size)
        drawn = latent_map(decoded, spectrum_names=("dark", "light"), voltage=voltage, known=joint)
        assert isinstance(drawn, Figure)
        drawn.draw_without_rendering()
    for values, order in (
        (truth, False),
        (spectra[:, 1].max(axis=1), False),
        (np.arange(len(joint)), True),
    ):
        latent_scatter(joint, values, order=order, held_out=model.split.test).draw_without_rendering()  # fmt: skip
    with pytest.raises(DataError, match="indices must be 0 to 3"):
        latent_scatter(joint, truth + 4)
    with pytest.raises(ConfigError, match="channel must be 0 to 0"):
        latent_map(decoded, channel=2)


def test_the_published_faults_have_their_effects(model):
    """Without the angle a turned patch is another content; sigma's divergence vanishes at sigma 0."""
    some, curves = PATCHES[:40], SPECTRA[:40]
    turned = np.rot90(some, 1, axes=(1, 2))

    def moved(before: np.ndarray, after: np.ndarray) -> float:
        return float((np.abs(after - before).mean(axis=0) / before.std(axis=0)).max())

    published = PublishedDualVAE.fit(some, curves, steps=60, rate=3e-3, seed=0)
    latent = published.encode_image(some)
    assert moved(latent, published.encode_image(turned)) > 0.5
    ours = model.encode_image(some).content
    assert moved(ours, model.encode_image(turned).content) < 0.3
    # Twice A: the image shown at a point is that of another point.
    repaired = PublishedDualVAE(**{**vars(published), "faults": frozenset()})
    point = np.array([[0.7, -0.4]])
    assert published.decode_image(point) == pytest.approx(
        repaired.decode_image(point @ published.alignment)
    )
    assert published.decode_spectrum(point) == pytest.approx(repaired.decode_spectrum(point))
    assert isinstance(decoded_map(published, latent, size=3), DecodedMap)
    with pytest.raises(ConfigError, match="faults must be of angle, sigma, twice"):
        PublishedDualVAE.fit(PATCHES, SPECTRA, faults=["typo"])


def test_a_map_without_spectra_is_a_map_of_images():
    vae = RotationVAE.fit(PATCHES[:24], training=Training(epochs=1))
    decoded = decoded_map(vae, vae.encode(PATCHES[:24]).content, size=3)
    assert decoded.spectra is None
    assert isinstance(latent_map(decoded), Figure)


FLAT, HOLED = SPECTRA.copy(), SPECTRA.copy()
FLAT[:, 1], HOLED[3, 0, 0] = 3e-9, np.nan


@pytest.mark.parametrize(
    ("kind", "patches", "spectra", "message"),
    [
        (DualVAE, PATCHES[:20], SPECTRA[:30], "must be pairs; got 20 and 30"),
        (PublishedDualVAE, PATCHES[:20], SPECTRA[:30], "must be pairs; got 20 and 30"),
        (DualVAE, PATCHES, FLAT, "channel 1 is the same everywhere"),
        (DualVAE, PATCHES, HOLED, r"spectra must be finite; 1 of \d+ hold NaN"),
        (PublishedDualVAE, PATCHES, HOLED, r"spectra must be finite; 1 of \d+ hold NaN"),
        (DualVAE, 0 * PATCHES + 1, SPECTRA, r"patches.* must have contrast"),
        (PublishedDualVAE, 0 * PATCHES + 1, SPECTRA, r"patches.* must have contrast"),
    ],
)
def test_bad_pairs_are_named(kind, patches, spectra, message):
    with pytest.raises(DataError, match=message):
        kind.fit(patches, spectra)


def test_bad_questions_to_a_model_are_named(model):
    with pytest.raises(DataError, match="28"):
        judge(model, PATCHES[:28], SPECTRA[:28])
    with pytest.raises(DataError, match=r"\(n, 2, 40\)"):
        model.encode_spectrum(SPECTRA[:, :1])
    with pytest.raises(ConfigError, match="alignment"):
        DualOptions(alignment=-1.0)
    with pytest.raises(DataError, match="full 10 x 10 window"):
        patches_at(np.zeros((30, 30)), [[2, 2]], 10)
    with pytest.raises(DataError, match="two classes"):
        judge(model, PATCHES, SPECTRA, np.zeros(len(PATCHES), int))
