"""Published dual autoencoder with its faults.

The training of Gong et al. 2026: encoders of two layers of 128 tanh units that guess angle, shift
and content at once. Binary cross-entropy of images and spectra scaled to 0..1, plus beta KL, plus
gamma |z_image - z_spectrum A|. Adam at 1e-4, 1000 steps with all pairs at once, none held out.
Details that the paper leaves open are ours. `RotationVAE` and `DualVAE` do not have these faults:

* "angle": the guessed angle never reaches the decoder, so that rotated patches are other contents.
* "sigma": sigma replaces its logarithm in the divergence, whose minimum is then at sigma = 0. The
  model becomes a plain autoencoder.
* "twice": A is applied twice for the decoded map, so that its two halves show different points.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from grainscout.analysis.latent.networks import (
    CoordinateDecoder,
    Network,
    normal_kl,
    one_thread,
    sample,
)
from grainscout.analysis.latent.patches import check_pairs, checked
from grainscout.analysis.latent.pose import in_content, window_positions
from grainscout.analysis.latent.rotation import check_patches
from grainscout.records import ConfigError, DataError, FloatArray

Networks = tuple[Network, CoordinateDecoder, Network, Network]

FAULTS = ("angle", "sigma", "twice")
_BETA, _GAMMA, _RATE, _SHIFT = 1.0, 10.0, 1e-4, 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class PublishedDualVAE:
    """Fitted model whose points are image latents."""

    faults: frozenset[str]
    alignment: FloatArray
    losses: FloatArray
    window: int
    low: tuple[FloatArray, FloatArray]
    span: tuple[FloatArray, FloatArray]
    _networks: Networks = field(repr=False)

    @classmethod
    def fit(
        cls,
        patches: ArrayLike,
        spectra: ArrayLike,
        *,
        faults: Collection[str] = FAULTS,
        steps: int = 1000,
        rate: float = _RATE,
        seed: int = 0,
    ) -> "PublishedDualVAE":
        """Train on all pairs.

        Parameters
        ----------
        patches : (n, [channels,] w, w) array of float
            In any unit.
        spectra : (n, [channels,] samples) array of float
            In any unit.
        faults : collection of str
            Which of `FAULTS` to keep.
        steps, rate, seed
            Number of steps, learning rate, and seed of the weights.
        """
        if unknown := set(faults) - set(FAULTS):
            raise ConfigError(f"faults must be of {', '.join(FAULTS)}; got {sorted(unknown)}")
        images, curves = check_patches(patches), checked(spectra, "spectra", 3)
        check_pairs(images, curves)
        window = images.shape[-1]
        x, low_x, span_x = _unit(images.reshape(len(images), images.shape[1], -1))
        y, low_y, span_y = _unit(curves)
        generator = torch.Generator().manual_seed(seed)
        channels, size = images.shape[1], curves.shape[1] * curves.shape[2]
        networks = networks_of(window, channels, size, generator)
        matrix = torch.eye(2) + 0.1 * torch.randn(2, 2, generator=generator)
        parameters = [matrix, *(p for network in networks for p in network.parameters)]
        for tensor in parameters:
            tensor.requires_grad_(True)
        optimiser, losses = torch.optim.Adam(parameters, lr=rate, fused=True), []
        with one_thread():
            for _ in range(steps):
                optimiser.zero_grad()
                loss = _loss(networks, matrix, x, y, window, faults, generator)
                loss.backward()
                optimiser.step()
                losses.append(loss.item())
        for tensor in parameters:
            tensor.requires_grad_(False)
        return cls(
            faults=frozenset(faults),
            alignment=matrix.numpy().astype(np.float64),
            losses=np.array(losses),
            window=window,
            low=(low_x, low_y),
            span=(span_x, span_y),
            _networks=networks,
        )

    def encode_image(self, patches: ArrayLike) -> FloatArray:
        """Latents (n, 2) of patches."""
        data = check_patches(patches, self.window)
        data = data.reshape(*data.shape[:2], -1)
        scaled = torch.from_numpy(((data - self.low[0]) / self.span[0]).astype(np.float32))
        with torch.no_grad(), one_thread():
            return self._networks[0](scaled.flatten(1))[:, 6:8].numpy().astype(np.float64)

    def encode_spectrum(self, spectra: ArrayLike) -> FloatArray:
        """Latents (n, 2) of spectra times A."""
        scaled = (checked(spectra, "spectra", 3) - self.low[1]) / self.span[1]
        with torch.no_grad(), one_thread():
            code = self._networks[2](torch.from_numpy(scaled.astype(np.float32)).flatten(1))
        return np.asarray(code[:, :2].numpy().astype(np.float64) @ self.alignment)

    def decode_image(self, content: ArrayLike) -> FloatArray:
        """Patches (n, channels, w, w) at points (n, 2) of the map."""
        z = np.asarray(content, dtype=np.float64)
        z = z @ self.alignment if "twice" in self.faults else z
        with torch.no_grad(), one_thread():
            latent = torch.from_numpy(z.astype(np.float32))
            decoded = self._networks[1](latent, window_positions(self.window)[None]).transpose(1, 2)
        values = torch.sigmoid(decoded).numpy() * self.span[0] + self.low[0]
        return np.asarray(values.reshape(len(z), -1, self.window, self.window), dtype=np.float64)

    def decode_spectrum(self, content: ArrayLike) -> FloatArray:
        """Spectra (n, channels, samples) at points (n, 2) of the map."""
        own = np.linalg.lstsq(self.alignment.T, np.asarray(content, np.float64).T, rcond=None)[0].T
        with torch.no_grad(), one_thread():
            decoded = torch.sigmoid(self._networks[3](torch.from_numpy(own.astype(np.float32))))
        values = decoded.numpy().reshape(len(own), len(self.span[1]), -1)
        return np.asarray(values * self.span[1] + self.low[1], dtype=np.float64)


def _loss(
    networks: Networks,
    matrix: Tensor,
    x: Tensor,
    y: Tensor,
    window: int,
    faults: Collection[str],
    generator: torch.Generator,
) -> Tensor:
    """Mean loss of all pairs, scaled to 0..1."""
    to_image, from_image, to_curve, from_curve = networks

    def divergence(mean: Tensor, log_sigma: Tensor) -> Tensor:
        return normal_kl(mean, log_sigma.exp() if "sigma" in faults else log_sigma)

    pose, pose_sigma, z, z_sigma = to_image(x.flatten(1)).split((3, 3, 2, 2), dim=1)
    posed = sample(pose, pose_sigma, generator)
    first = sample(z, z_sigma, generator)
    turn = torch.zeros(len(x)) if "angle" in faults else posed[:, 0]
    seen = in_content(window_positions(window), turn, _SHIFT * posed[:, 1:])
    image = from_image(first, seen).transpose(1, 2)
    u, u_sigma = to_curve(y.flatten(1)).chunk(2, dim=1)
    second = sample(u, u_sigma, generator)
    return (
        cross_entropy(image, x, reduction="none").sum((1, 2))
        + cross_entropy(from_curve(second), y.flatten(1), reduction="none").sum(1)
        + _BETA * divergence(torch.cat([pose, z], 1), torch.cat([pose_sigma, z_sigma], 1))
        + _BETA * divergence(u, u_sigma)
        + _GAMMA * (first - second @ matrix).abs().sum(1)
    ).mean()


def networks_of(window: int, channels: int, size: int, generator: torch.Generator) -> Networks:
    """Make networks to and from images and spectra."""
    return (
        Network((channels * window**2, 128, 128, 10), generator),
        CoordinateDecoder(2, 128, channels, generator),
        Network((size, 128, 128, 4), generator),
        Network((2, 128, 128, size), generator),
    )


def _unit(data: FloatArray) -> tuple[Tensor, FloatArray, FloatArray]:
    """Scale data (n, c, p) to 0..1 by channel."""
    low, high = data.min(axis=(0, 2))[:, None], data.max(axis=(0, 2))[:, None]
    if not (high > low).all():
        raise DataError("patches and spectra must have contrast in every channel")
    return torch.from_numpy(((data - low) / (high - low)).astype(np.float32)), low, high - low
