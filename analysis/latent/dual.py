"""Aligned autoencoders of patches and spectra."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from grainscout.analysis.latent.cross_modal import CrossModalRegression, site_invariants
from grainscout.analysis.latent.images import ImageLoss, ImageModel
from grainscout.analysis.latent.networks import (
    History,
    Network,
    Training,
    bounded,
    followed,
    learn,
    normal_kl,
    one_thread,
    sample,
)
from grainscout.analysis.latent.patches import Scaling, Single, Split, check_pairs, checked, split
from grainscout.analysis.latent.rotation import (
    ImageOptions,
    Latents,
    active_units,
    check_patches,
    decode_patches,
    encode_patches,
    image_model,
)
from grainscout.records import BoolArray, ConfigError, DataError, FloatArray


class SpectrumModel:
    """q(content | spectrum) and p(spectrum | content) for spectra (n, channels, samples)."""

    def __init__(
        self, *, samples: int, channels: int, latents: int, hidden: int, generator: torch.Generator
    ) -> None:
        self.latents, self.shape, self.generator = latents, (channels, samples), generator
        size = channels * samples
        self.encoder = Network((size, hidden, hidden, 2 * latents), generator)
        self.decoder = Network((latents, hidden, hidden, size), generator)
        self.noise = torch.ones(channels)

    @property
    def parameters(self) -> list[Tensor]:
        """All learnt tensors."""
        return [*self.encoder.parameters, *self.decoder.parameters]

    def encode(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log sigma (n, d) of the content."""
        mean, log_sigma = self.encoder(spectra.flatten(1)).chunk(2, dim=-1)
        return mean, bounded(log_sigma)

    def decode(self, content: Tensor) -> Tensor:
        """Spectra (n, channels, samples) of contents (n, d)."""
        return self.decoder(content).reshape(-1, *self.shape)

    def loss(self, spectra: Tensor, *, training: bool) -> tuple[Tensor, Tensor]:
        """Negative evidence bound (n,) [nats], and its contents (n, d)."""
        mean, log_sigma = self.encode(spectra)
        content = sample(mean, log_sigma, self.generator) if training else mean
        square = (spectra - self.decode(content)).square()
        if training:
            self.noise = followed(self.noise, square)
        each = 0.5 * square.mean(2) / self.noise.square() + self.noise.log()
        return self.shape[1] * each.sum(1) + normal_kl(mean, log_sigma), content


@dataclass(frozen=True, kw_only=True)
class DualOptions:
    """Options of a dual model."""

    #: Options of the image half. The spectrum half has as many latents.
    image: ImageOptions = field(default_factory=ImageOptions)
    #: Weight gamma [nats] of sum |z_image - A z_spectrum| (10 in Gong et al. 2026). Here both are
    #: in units of their own size and A is a rotation. A free A shrinks where the relation is weak,
    #: until all spectra lie on one image.
    alignment: float = 10.0
    #: Divide each spectrum by its own size, for all channels or for each, so that shapes and not
    #: currents are mapped
    own_size: bool | Sequence[bool] = False
    #: stop, test: Held-out shares, for stopping and for tests
    stop: float = 0.15
    test: float = 0.2

    def __post_init__(self) -> None:
        if not (self.alignment >= 0 and np.isfinite(self.alignment)):
            raise ConfigError(f"alignment must be a finite weight >= 0; got {self.alignment}")


@dataclass(frozen=True, kw_only=True, eq=False)
class DualVAE:
    """Fitted model of pairs, made by :meth:`fit`."""

    #: options, window, shape, image_scaling, spectrum_scaling, history, split: Settings and course
    #: of the fit
    options: DualOptions
    window: int
    shape: tuple[int, int]
    image_scaling: Scaling
    spectrum_scaling: Scaling
    alignment: FloatArray  #: Matrix A with z_image = A z_spectrum, (d, d)
    #: Regression of the points of spectra on their images, from all pairs except the test's
    link: CrossModalRegression
    history: History
    split: Split
    #: active_image, active_spectrum: Latents in use, (d,)
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
    ) -> "DualVAE":
        """Learn from patches and spectra of the same sites.

        The same data and seed give the same model.

        Parameters
        ----------
        patches : (n, [channels,] w, w) array of float
            In any unit.
        spectra : (n, [channels,] samples) array of float
            In any unit, such as [A].
        options, training, seed, progress
            As in `RotationVAE.fit`.
        """
        options, training = options or DualOptions(), training or Training()
        images, curves = check_patches(patches), checked(spectra, "spectra", 3)
        check_pairs(images, curves)
        rng = np.random.default_rng(seed)
        parts = split(len(images), stop=options.stop, test=options.test, rng=rng)
        image_scaling, spectrum_scaling = _scalings(
            images[parts.train], curves[parts.train], options
        )
        with one_thread():
            generator = torch.Generator().manual_seed(seed)
            image = image_model(options.image, images, generator)
            spectrum = spectrum_model(options, curves.shape[1:], generator)
            turn = torch.zeros(options.image.latents, options.image.latents)
            read = image.read(torch.from_numpy(image_scaling.apply(images)))
            table = torch.from_numpy(spectrum_scaling.apply(curves))
            image_loss = ImageLoss(image, read)

            def loss(index: Tensor, training: bool) -> Tensor:
                first, z_image = image_loss(index, training)
                second, z_spectrum = spectrum.loss(table[index], training=training)
                apart = (_sized(z_image) - _sized(z_spectrum) @ _rotation(turn).T).abs().sum(1)
                return (first + second + options.alignment * apart).mean()

            parameters = [*image.parameters, *spectrum.parameters, turn]
            history = learn(
                parameters, loss, parts, training, rng=rng, progress=progress, title="dual map"
            )
            contents = image.infer(read)[0].numpy()
            codes = spectrum.encode(table)[0].detach().numpy()
            matrix = _unscaled(_rotation(turn).numpy(), contents[parts.train], codes[parts.train])
        seen = np.concatenate([parts.train, parts.stop])
        link = CrossModalRegression.fit(
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

    def encode_image(self, patches: ArrayLike) -> Latents:
        """Infer content and pose of patches."""
        return encode_patches(self.image, self.image_scaling, patches, self.window)

    def encode_spectrum(self, spectra: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Mean and sigma (n, d) of spectra, A applied."""
        data = checked(spectra, "spectra", 3)
        if data.shape[1:] != self.shape:
            raise DataError(
                f"spectra must be (n, {self.shape[0]}, {self.shape[1]}) like those of the fit; got "
                f"shape {data.shape}"
            )
        with torch.no_grad(), one_thread():
            code = self.spectrum.encode(torch.from_numpy(self.spectrum_scaling.apply(data)))
        mean, sigma = code[0].numpy().astype(np.float64), code[1].exp().numpy()
        spread = np.sqrt(np.square(sigma) @ np.square(self.alignment).T)
        return mean @ self.alignment.T, np.asarray(spread, dtype=np.float64)

    def encode(self, patches: ArrayLike, spectra: ArrayLike) -> FloatArray:
        """Joint latent (n, d) of pairs: both means, weighted by precision."""
        image = self.encode_image(patches)
        mean, sigma = self.encode_spectrum(spectra)
        a, b = image.content_sigma**-2, np.fmax(sigma, 1e-6) ** -2
        return np.asarray((a * image.content + b * mean) / (a + b))

    def decode_image(self, content: ArrayLike) -> FloatArray:
        """Upright patches (n, channels, w, w) at points (n, d) of the map."""
        return decode_patches(self.image, self.image_scaling, content, 0.0, (0.0, 0.0))

    def reconstruct_image(self, patches: ArrayLike) -> FloatArray:
        """Decode the content of patches at their own pose."""
        z = self.encode_image(patches)
        return decode_patches(self.image, self.image_scaling, z.content, z.angle, z.shift)

    def decode_spectrum(self, content: ArrayLike) -> FloatArray:
        """Spectra (n, channels, samples) at points (n, d) of the map, with A undone."""
        z = np.asarray(content, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != len(self.alignment):
            raise DataError(f"content must be (n, {len(self.alignment)}); got shape {z.shape}")
        own = np.linalg.lstsq(self.alignment, z.T, rcond=None)[0].T
        with torch.no_grad(), one_thread():
            decoded = self.spectrum.decode(torch.from_numpy(own.astype(np.float32)))
        return self.spectrum_scaling.undo(decoded.numpy())

    def expect(self, patches: ArrayLike) -> FloatArray:
        """Points (n, d) where spectra of patches are expected.

        The patches themselves lie elsewhere: their content is what rebuilds the whole patch.
        """
        images = check_patches(patches, self.window)
        content = self.encode_image(images).content
        return self.link.predict(np.column_stack([site_invariants(images), content]))

    def predict_spectrum(self, patches: ArrayLike) -> FloatArray:
        """Spectra (n, channels, samples) expected at patches.

        Where images carry little information on spectra, the expectation is near the mean. The
        decoded map at an image's point shows a spectrum that is possible there, not the best guess.
        """
        mean = self.expect(patches)
        # The mean of what is decoded, not what is decoded at the mean: by sigma points.
        reach = np.sqrt(len(self.link.scatter)) * self.link.scatter
        points = [mean + step for step in (*reach.T, *-reach.T)]
        return np.asarray(np.mean([self.decode_spectrum(point) for point in points], axis=0))


def spectrum_model(
    options: DualOptions, shape: tuple[int, ...], generator: torch.Generator
) -> SpectrumModel:
    """Make a new model for spectra of that (channels, samples)."""
    return SpectrumModel(
        channels=shape[0],
        samples=shape[1],
        latents=options.image.latents,
        hidden=options.image.hidden,
        generator=generator,
    )


def _scalings(
    images: FloatArray, curves: FloatArray, options: DualOptions
) -> tuple[Scaling, Scaling]:
    image = Scaling.of(images, own_mean=options.image.own_mean, flat_mean=True, name="patches")
    spectrum = Scaling.of(
        curves, own_mean=False, own_size=options.own_size, flat_mean=False, name="spectra"
    )
    return image, spectrum


def _unscaled(rotation: Single, contents: Single, codes: Single) -> Single:
    """Map (d, d) from codes to contents (n, d) of their own sizes."""
    image, spectrum = (np.sqrt(np.square(z).mean(axis=0)) for z in (contents, codes))
    return np.asarray(image[:, None] * rotation / np.fmax(spectrum, 1e-6))


def _sized(latent: Tensor) -> Tensor:
    """Divide latents by their size in the batch."""
    return latent / latent.square().mean(dim=0).sqrt().clamp_min(1e-2)


def _rotation(turn: Tensor) -> Tensor:
    """Rotation (d, d) of any matrix (d, d)."""
    return torch.matrix_exp(turn - turn.T)
