"""Spectrum half of a model."""

import torch
from torch import Tensor

from grainscout.analysis.latent.networks import Network, bounded, followed, normal_kl, sample


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
