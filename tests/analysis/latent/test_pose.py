"""Turned and shifted objects: content stays, angle and shift move by what was done."""

import numpy as np
import pytest
import torch

from grainscout.analysis.latent import ImageOptions, RotationVAE, Training
from grainscout.analysis.latent.pose import ANGLES, PoseGrid
from grainscout.records import ConfigError, DataError

W = 12


def objects(kind: np.ndarray, angle: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Two unequal blobs, their distance set by kind (-1 to 1), turned [rad] and shifted [pixels]."""
    axis = np.arange(W) - (W - 1) / 2
    row = axis[None, :, None] - shift[:, 0, None, None]
    column = axis[None, None, :] - shift[:, 1, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    r, c = cos * row - sin * column, sin * row + cos * column
    d = (0.22 + 0.08 * kind)[:, None, None] * W
    large = np.exp(-((c - d) ** 2 + r**2) / 2 / (W / 8) ** 2)
    return large + 0.6 * np.exp(-((c + d / 2) ** 2 + (r - 0.7 * d) ** 2) / 2 / (W / 10) ** 2)


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, n), rng.uniform(-np.pi, np.pi, n), rng.normal(0, 0.35, (n, 2))


@pytest.fixture(scope="module")
def model() -> RotationVAE:
    patches = objects(*drawn(140, 0)) + np.random.default_rng(1).normal(0, 0.03, (140, W, W))
    return RotationVAE.fit(patches, training=Training(epochs=45), seed=1)


UNSEEN = drawn(60, 7)


def turn(found: np.ndarray) -> np.ndarray:
    return np.abs(np.angle(np.exp(1j * found)))


@pytest.mark.parametrize("angle", [0.3, 1.1, np.pi / 2, -2.6])
def test_a_rotated_patch_has_the_same_content_and_another_angle(model, angle):
    kind, lies, shift = UNSEEN
    before = model.encode(objects(kind, lies, shift))
    after = model.encode(objects(kind, lies + angle, shift))
    error = turn(after.angle - before.angle - angle)
    assert np.median(error) < np.radians(1.5)
    assert np.quantile(error, 0.9) < np.radians(6)
    moved = np.abs(after.content - before.content).mean(axis=0)
    assert (moved < 0.25 * before.content.std(axis=0)).all()


@pytest.mark.parametrize("move", [(0.5, -0.4), (-0.3, 0.0)])
def test_a_shifted_patch_has_the_same_content_and_another_shift(model, move):
    kind, lies, shift = UNSEEN
    before = model.encode(objects(kind, lies, shift))
    after = model.encode(objects(kind, lies, shift + np.array(move)))
    # The prior on shifts pulls them a little towards 0.
    assert (after.shift - before.shift).mean(axis=0) == pytest.approx(np.array(move), abs=0.15)
    assert (after.shift - before.shift).std(axis=0).max() < 0.2
    moved = np.abs(after.content - before.content).mean(axis=0)
    assert (moved < 0.35 * before.content.std(axis=0)).all()


def test_angle_and_shift_reach_the_decoder(model):
    """A decoded patch turned by a right angle is the turned array; a shift moves its centre."""
    content = np.zeros((1, 2))
    upright, turned = model.decode(content), model.decode(content, angle=np.pi / 2)
    assert turned[0, 0] == pytest.approx(np.rot90(upright[0, 0], -1), abs=1e-4)
    moved = model.decode(content, shift=(1.0, 0.0))
    assert moved[0, 0, 1:] == pytest.approx(upright[0, 0, :-1], abs=1e-4)
    assert np.abs(turned - upright).max() > 0.3


def test_content_is_what_was_varied_and_patches_are_rebuilt(model):
    kind, lies, shift = UNSEEN
    patches = objects(kind, lies, shift)
    content = model.encode(patches).content
    table = np.column_stack([np.ones(60), content, content**2])
    fitted = table @ np.linalg.lstsq(table, kind, rcond=None)[0]
    assert np.corrcoef(fitted, kind)[0, 1] > 0.95
    bare = patches - patches.mean(axis=(1, 2), keepdims=True)
    rebuilt = model.reconstruct(patches)[:, 0]
    assert 1 - np.sum((rebuilt - bare) ** 2) / np.sum(bare**2) > 0.97
    assert model.active.all()
    assert model.history.held_out[model.history.best] == model.history.held_out.min()


def test_latents_without_information_are_inactive():
    """One and the same object, turned and shifted: all that differs is its pose, and noise."""
    _, angle, shift = drawn(60, 3)
    same = objects(np.zeros(60), angle, shift)
    patches = same + np.random.default_rng(4).normal(0, 0.1, same.shape)
    assert not RotationVAE.fit(patches, training=Training(epochs=15), seed=1).active.any()


def test_an_object_without_a_direction_has_no_certain_angle(model):
    row, column = np.mgrid[:W, :W] - (W - 1) / 2
    ring = np.exp(-((np.hypot(row, column) - 3) ** 2))
    usual = np.median(model.encode(objects(*UNSEEN)).angle_sigma)
    assert model.encode(ring[None]).angle_sigma[0] > 5 * usual


def test_the_searched_posterior_is_bayes_rule_by_brute_force():
    """Scores from rings equal the sums over pixels, up to what interpolation smooths."""
    grid = PoseGrid(16, 0.2)
    phase = torch.tensor([0.3, 1.0])

    def content(at: torch.Tensor) -> torch.Tensor:
        return torch.sin(2.0 * at[..., 0] + phase[0]) + torch.cos(1.5 * at[..., 1] + phase[1])

    true = torch.tensor([0.1, -0.1])
    angle = torch.tensor(7 * 2 * np.pi / ANGLES)
    cos, sin = torch.cos(angle), torch.sin(angle)

    def posed(at: torch.Tensor, angle_: float, shift: torch.Tensor) -> torch.Tensor:
        c, s = np.cos(angle_), np.sin(angle_)
        m = at - shift
        return content(
            torch.stack([c * m[..., 0] - s * m[..., 1], s * m[..., 0] + c * m[..., 1]], -1)
        )

    full = (torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij"), -1) - 7.5) / 8  # fmt: skip
    patch = posed(full, float(angle), true)[None, None]
    values = grid.read(patch)
    score = grid.score(values, content(grid.polar)[None, None], torch.tensor([0.5]))[0]
    exact = torch.stack(
        [
            torch.stack(
                [
                    -0.5 * ((patch.flatten()[grid.inside] - posed(grid.pixels, 2 * np.pi * k / ANGLES, s)) / 0.5).square().sum()
                    for s in grid.shifts
                ]
            )
            for k in range(ANGLES)
        ]
    )  # fmt: skip
    assert float(cos) != float(sin)
    assert np.corrcoef(score.flatten(), exact.flatten())[0, 1] > 0.995
    best = divmod(int(score.argmax()), len(grid.shifts))
    assert best[0] == 7
    assert grid.shifts[best[1]] == pytest.approx(true, abs=1e-6)


def test_the_same_seed_gives_the_same_model_and_no_global_state_is_touched():
    patches = objects(*drawn(24, 3))
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    short = Training(epochs=2)
    a, b, c = (RotationVAE.fit(patches, training=short, seed=s).encode(patches) for s in (1, 1, 2))
    assert np.array_equal(a.content, b.content)
    assert np.array_equal(a.angle, b.angle)
    assert not np.allclose(a.content, c.content)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002


def test_a_patch_is_encoded_the_same_in_any_company(model):
    patches = objects(*UNSEEN)
    many, alone = model.encode(patches), model.encode(patches[11:12])
    assert alone.content == pytest.approx(many.content[11:12], abs=1e-4)


def test_more_than_one_channel_in_any_unit():
    """A second channel with a mean of its own: a gain on the data changes nothing."""
    kind, lies, shift = drawn(40, 5)
    first = objects(kind, lies, shift)
    stack = np.stack([1e-8 * first, 1e-9 * (first + 3 * kind[:, None, None])], axis=1)
    options = ImageOptions(own_mean=(True, False))
    fits = [
        RotationVAE.fit(gain * stack, options, training=Training(epochs=3), seed=0).encode(gain * stack)
        for gain in (1.0, 1e6)
    ]  # fmt: skip
    assert fits[0].content == pytest.approx(fits[1].content, abs=1e-3)


def test_bad_input_is_named():
    good = objects(*drawn(20, 0))
    spoilt = good.copy()
    spoilt[3, 0, 0] = np.nan
    for bad, match in (
        (spoilt, "1 of 20"),
        (np.ones((20, W, W)), "contrast"),
        (good[:, :8], "square"),
        (good[:5], "at least 8"),
        (good[0], "axes"),
    ):
        with pytest.raises(DataError, match=match):
            RotationVAE.fit(bad)
    with pytest.raises(ConfigError, match=r"shift from 0 to 0\.25"):
        ImageOptions(shift=0.5)
    with pytest.raises(ConfigError, match="epochs"):
        Training(epochs=0)
    with pytest.raises(ConfigError, match="held-out shares"):
        RotationVAE.fit(good, held_out=1.2)
