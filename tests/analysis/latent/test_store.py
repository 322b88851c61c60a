"""A fitted model comes back from its file to the last bit, and nothing else is taken for one."""

import numpy as np
import pytest

from grainscout.analysis.latent import (
    DualOptions,
    DualVAE,
    ImageOptions,
    PublishedDualVAE,
    RotationVAE,
    Training,
    load_model,
    save_model,
)
from grainscout.records import DataError, pack, unpack

RNG = np.random.default_rng(0)
PATCHES = RNG.normal(size=(16, 2, 8, 8))
SPECTRA = RNG.normal(size=(16, 2, 12)) * 1e-9
ONCE = Training(epochs=1)
SMALL = ImageOptions(hidden=8, latents=3, own_mean=(True, False))


@pytest.fixture(scope="module")
def models():
    return {
        "rotation": RotationVAE.fit(PATCHES, SMALL, training=ONCE),
        "dual": DualVAE.fit(
            PATCHES, SPECTRA, DualOptions(image=SMALL, own_size=(False, True)), training=ONCE
        ),
        "published": PublishedDualVAE.fit(PATCHES, SPECTRA, faults=["angle"], steps=2),
    }


def answers(model) -> list[np.ndarray]:
    """All that a model can be asked."""
    if isinstance(model, RotationVAE):
        found = model.encode(PATCHES)
        return [*vars(found).values(), model.decode(found.content), model.reconstruct(PATCHES)]
    points = np.linspace(-1, 1, 6).reshape(2, 3)
    if isinstance(model, PublishedDualVAE):
        points = points[:, :2]
        images, spectra = [model.encode_image(PATCHES)], [model.encode_spectrum(SPECTRA)]
    else:
        images = [*vars(model.encode_image(PATCHES)).values(), model.predict_spectrum(PATCHES)]
        spectra = [*model.encode_spectrum(SPECTRA), model.encode(PATCHES, SPECTRA)]
    return [*images, *spectra, model.decode_image(points), model.decode_spectrum(points)]


@pytest.mark.parametrize("kind", ["rotation", "dual", "published"])
def test_a_loaded_model_answers_to_the_last_bit(models, tmp_path, kind):
    path = tmp_path / "model.latent"
    save_model(models[kind], path)
    again = load_model(path)
    assert type(again) is type(models[kind])
    for before, after in zip(answers(models[kind]), answers(again), strict=True):
        assert np.array_equal(before, after)
    save_model(again, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"model.latent", "again"}


def spoilt(state, change):
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(version=0), "version 1; it is 'grainscout latent model' of version 0"),
        (lambda s: s.update(what="policy"), "it is 'policy'"),
        (lambda s: s.update(kind="Forest"), "kind must be one of RotationVAE"),
        (lambda s: s.pop("link"), "must hold 'link'"),
        (lambda s: s["options"].update(beta=2), "options of DualOptions"),
        (lambda s: s["options"]["image"].update(hidden=9), r"shape \(\d+, 9\)"),
        (lambda s: s.update(window=10), "image\\[0\\]"),
        (lambda s: s.update(window="8"), "window must be a whole number"),
        (lambda s: s["image"].pop(), "image must be a list of"),
        (lambda s: s["spectrum"].__setitem__(1, np.full(8, np.nan, np.float32)), r"spectrum\[1\] must be a finite"),
        (lambda s: s["link"].update(weights=np.zeros((2, 3))), "weights must be"),
        (lambda s: s.update(alignment=[1.0]), "alignment must be"),
        (lambda s: s["options"].update(alignment=-1.0), "alignment must be a finite weight"),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_named(models, tmp_path, change, said):
    path = tmp_path / "model"
    save_model(models["dual"], path)
    path.write_bytes(pack(spoilt(unpack(path.read_bytes()), change)))
    with pytest.raises(DataError, match=said) as error:
        load_model(path)
    assert str(path) in str(error.value)


def test_damaged_and_foreign_files_are_named(models, tmp_path):
    path = tmp_path / "model"
    save_model(models["rotation"], path)
    whole = path.read_bytes()
    for content, said in (
        (whole[:-3], "checksum"),
        (whole[:200] + b"?" + whole[201:], "checksum"),
        (b"PK\x03\x04 another file that is long enough to be read as one", "must start with"),
        (b"", "must start with"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            load_model(path)
