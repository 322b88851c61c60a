"""Two autoencoders whose latent spaces are one linear map apart: structure on one side, curves on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from grainscout.analysis.latent.cross_modal import Link, site_invariants
from grainscout.analysis.latent.images import ImageModel
from grainscout.analysis.latent.networks import one_thread
from grainscout.analysis.latent.patches import Scaling, Split, checked, split
from grainscout.analysis.latent.rotation import (
    ImageOptions,
    Latents,
    active_units,
    check_patches,
    decode_patches,
    encode_patches,
    image_model,
)
from grainscout.analysis.latent.spectra import SpectrumModel
from grainscout.analysis.latent.training import History, Training, learn
from grainscout.records import ConfigError, DataError
from grainscout.records.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class DualOptions:
    """What a dual model is like.

    image : its images' half; the spectra's has as many latents;  alignment : weight gamma [nats] of
    sum |z_image - A z_spectrum| (S26: 10), here with both in units of their own size and A a rotation
    between them: a free A shrinks where the link is weak, until all spectra lie on one image;
    own_size : whether each spectrum is divided by its own size, so that shapes and
    not currents are mapped, for all channels or for each;  stop, test : held-out shares.
    """

    image: ImageOptions = field(default_factory=ImageOptions)
    alignment: float = 10.0
    own_size: bool | Sequence[bool] = False
    stop: float = 0.15
    test: float = 0.2

    def __post_init__(self) -> None:
        if not (self.alignment >= 0 and np.isfinite(self.alignment)):
            raise ConfigError(f"alignment must be a finite weight >= 0; got {self.alignment}")


@dataclass(frozen=True, kw_only=True, eq=False)
class DualVAE:
    """A fitted model of pairs (patch, spectrum); make one with :meth:`fit`.

    alignment : (d, d) matrix A, z_image = A z_spectrum, for row vectors z_spectrum @ A.T;  link :
    regression of the spectra's points on their images, from all pairs but the test's;  active_* : (d,)
    whether each latent says anything;  split : which pairs trained, stopped, and were never seen.
    """

    options: DualOptions
    window: int
    shape: tuple[int, int]
    image_scaling: Scaling
    spectrum_scaling: Scaling
    alignment: FloatArray
    link: Link
    history: History
    split: Split
    active_image: BoolArray
    active_spectrum: BoolArray
    image: ImageModel = field(repr=False)
    spectrum: SpectrumModel = field(repr=False)

    @classmethod
    def fit(
        cls,
        patches: ArrayLike,
        spectra: ArrayLike,
        options: DualOptions | None = None,
        *,
        training: Training | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> DualVAE:
        """Learn from patches (n, [channels,] w, w) and spectra (n, [channels,] samples) of one site each.

        The same data and seed give the same model.  DataError for bad or unpaired data.
        """
        options, training = options or DualOptions(), training or Training()
        images, curves = check_patches(patches), checked(spectra, "spectra", 3)
        if len(images) != len(curves):
            raise DataError(
                f"patches and spectra must be pairs; got {len(images)} and {len(curves)}"
            )
        rng = np.random.default_rng(seed)
        parts = split(len(images), stop=options.stop, test=options.test, rng=rng)
        image_scaling = Scaling.of(
            images[parts.train], own_mean=options.image.own_mean, flat_mean=True, name="patches"
        )
        spectrum_scaling = Scaling.of(
            curves[parts.train],
            own_mean=False,
            own_size=options.own_size,
            flat_mean=False,
            name="spectra",
        )
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            image = image_model(options.image, images, generator)
            spectrum = SpectrumModel(
                samples=curves.shape[2],
                channels=curves.shape[1],
                latents=options.image.latents,
                hidden=options.image.hidden,
                generator=generator,
            )
            turn = torch.zeros(options.image.latents, options.image.latents)
            read = image.read(torch.from_numpy(image_scaling.apply(images)))
            table = torch.from_numpy(spectrum_scaling.apply(curves))
            about = torch.zeros(len(images), 2)

            def loss(index: IntArray, training: bool) -> Tensor:
                some = torch.from_numpy(index)
                centre = about[some]
                first, z_image = image.loss(read[some], centre, training=training)
                about[some] = centre
                second, z_spectrum = spectrum.loss(table[some], training=training)
                apart = (_sized(z_image) - _sized(z_spectrum) @ _rotation(turn).T).abs().sum(1)
                return (first + second + options.alignment * apart).mean()

            history = learn(
                [*image.parameters, *spectrum.parameters, turn],
                lambda index: loss(index, True),
                lambda: float(loss(parts.stop, False)),
                parts.train,
                training,
                rng=rng,
                progress=progress,
                title="dual map",
            )
            contents = image.infer(read)[0].numpy()
            codes = spectrum.encode(table)[0].detach().numpy()
            sizes = [np.sqrt(np.square(z[parts.train]).mean(axis=0)) for z in (contents, codes)]
            matrix = sizes[0][:, None] * _rotation(turn).numpy() / np.fmax(sizes[1], 1e-6)
        seen = np.concatenate([parts.train, parts.stop])
        link = Link.fit(
            np.column_stack([site_invariants(images[seen]), contents[seen]]),
            codes[seen].astype(np.float64) @ matrix.T,
        )
        return cls(
            options=options,
            window=images.shape[-1],
            shape=(curves.shape[1], curves.shape[2]),
            image_scaling=image_scaling,
            spectrum_scaling=spectrum_scaling,
            alignment=matrix.astype(np.float64),
            link=link,
            history=history,
            split=parts,
            active_image=active_units(contents),
            active_spectrum=active_units(codes),
            image=image,
            spectrum=spectrum,
        )

    # -- from data to the map --------------------------------------------------------------------

    def encode_image(self, patches: ArrayLike) -> Latents:
        """Content and pose of patches."""
        return encode_patches(self.image, self.image_scaling, patches, self.window)

    def encode_spectrum(self, spectra: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Mean and sigma (n, d) of spectra, in the map's coordinates: A has been applied, once."""
        data = checked(spectra, "spectra", 3)
        if data.shape[1:] != self.shape:
            raise DataError(
                f"spectra must be (n, {self.shape[0]}, {self.shape[1]}) like those of the fit; got "
                f"shape {data.shape}"
            )
        with torch.no_grad(), one_thread():
            found = self.spectrum.encode(torch.from_numpy(self.spectrum_scaling.apply(data)))
        mean, sigma = found[0].numpy().astype(np.float64), found[1].exp().numpy()
        spread = np.sqrt(np.square(sigma) @ np.square(self.alignment).T)
        return mean @ self.alignment.T, np.asarray(spread, dtype=np.float64)

    def encode(self, patches: ArrayLike, spectra: ArrayLike) -> FloatArray:
        """(n, d) joint latent of pairs: both halves' means, weighted by their precisions."""
        image = self.encode_image(patches)
        mean, sigma = self.encode_spectrum(spectra)
        a, b = image.content_sigma**-2, np.fmax(sigma, 1e-6) ** -2
        return np.asarray((a * image.content + b * mean) / (a + b))

    # -- from the map to data --------------------------------------------------------------------

    def decode_image(self, content: ArrayLike) -> FloatArray:
        """(n, channels, w, w) upright patches at points (n, d) of the map."""
        return decode_patches(self.image, self.image_scaling, content, 0.0, (0.0, 0.0))

    def reconstruct_image(self, patches: ArrayLike) -> FloatArray:
        """(n, channels, w, w) what the model makes of patches, at their own poses."""
        found = self.encode_image(patches)
        return decode_patches(
            self.image, self.image_scaling, found.content, found.angle, found.shift
        )

    def decode_spectrum(self, content: ArrayLike) -> FloatArray:
        """(n, channels, samples) spectra at the same points of the map: A is undone, once."""
        z = np.asarray(content, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != len(self.alignment):
            raise DataError(f"content must be (n, {len(self.alignment)}); got shape {z.shape}")
        own = np.linalg.lstsq(self.alignment, z.T, rcond=None)[0].T
        with torch.no_grad(), one_thread():
            found = self.spectrum.decode(torch.from_numpy(own.astype(np.float32)))
        return self.spectrum_scaling.undo(found.numpy())

    def expect(self, patches: ArrayLike) -> FloatArray:
        """(n, d) points of the map where the spectra of patches are expected.

        Not where the patches lie themselves: their content is what rebuilds the whole patch.
        """
        images = check_patches(patches, self.window)
        content = self.encode_image(images).content
        return self.link.predict(np.column_stack([site_invariants(images), content]))

    def predict_spectrum(self, patches: ArrayLike) -> FloatArray:
        """(n, channels, samples) spectra expected at patches.

        Where images say little about spectra, the expectation is near the mean: what the decoded
        map shows at an image's point is a spectrum that can go with it, not the best guess.
        """
        mean = self.expect(patches)
        # The mean of what is decoded, not what is decoded at the mean: by sigma points.
        reach = np.sqrt(len(self.link.scatter)) * self.link.scatter
        points = [mean + step for step in (*reach.T, *-reach.T)]
        return np.asarray(np.mean([self.decode_spectrum(point) for point in points], axis=0))


def _sized(latent: Tensor) -> Tensor:
    """Latents (n, d) over their size in the batch, with gradient: shrinking gains nothing."""
    return latent / latent.square().mean(dim=0).sqrt().clamp_min(1e-2)


def _rotation(turn: Tensor) -> Tensor:
    """(d, d) rotation of any matrix (d, d): both spaces keep their size, and no direction is lost."""
    return torch.matrix_exp(turn - turn.T)
