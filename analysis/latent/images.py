"""Image half of a model."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grainscout.analysis.latent.networks import (
    CoordinateDecoder,
    Network,
    bounded,
    followed,
    normal_kl,
    sample,
    tanh,
)
from grainscout.analysis.latent.pose import ANGLES, PoseGrid, Poses, in_content

_TURNS = 12  # turned copies that a training step averages over
_ROUNDS = 3  # of contents and poses in alternation
_PIXELS = 96  # pixels of a patch in a training step


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """Prepared patches: images, disc pixels and rings."""

    patches: Tensor
    pixels: Tensor
    values: Tensor

    def __getitem__(self, index: Tensor) -> "Read":
        return Read(
            patches=self.patches[index], pixels=self.pixels[index], values=self.values[index]
        )

    def __len__(self) -> int:
        return len(self.pixels)


class ImageModel:
    """q(content | patch, shift), q(pose | patch, content) and p(patch | content, pose).

    The encoder reads rings about the content's centre and averages its hidden layer over rotations.
    A rotation only permutes what is averaged, so that content is invariant by construction.
    """

    def __init__(
        self,
        *,
        window: int,
        channels: int,
        latents: int,
        hidden: int,
        reach: float,
        generator: torch.Generator,
    ) -> None:
        self.grid = PoseGrid(window, reach)
        self.latents, self.generator = latents, generator
        self.layers = Network((channels * self.grid.inner, hidden, hidden), generator)
        self.head = Network((hidden, 2 * latents), generator)
        self.decoder = CoordinateDecoder(latents, hidden, channels, generator)
        self.noise = torch.ones(channels)

    @property
    def parameters(self) -> list[Tensor]:
        """All learnt tensors."""
        return [*self.layers.parameters, *self.head.parameters, *self.decoder.parameters]

    def read(self, patches: Tensor) -> Read:
        """Prepare patches (n, c, w, w)."""
        pixels = patches.flatten(2)[:, :, self.grid.inside]
        return Read(patches=patches, pixels=pixels, values=self.grid.read(patches))

    def encode(self, read: Read, about: Tensor, *, turns: int = ANGLES) -> tuple[Tensor, Tensor]:
        """Mean and log sigma (n, d) about a centre, averaged over rotations."""
        n, step = len(read), ANGLES // turns
        start = torch.zeros(n)
        if turns < ANGLES:
            start = torch.rand(n, generator=self.generator) * (2 * math.pi / turns)
        rings = self.grid.read_about(read.patches, about, start)
        index = self.grid.turned[torch.arange(turns) * step, : self.grid.inner]
        hidden = tanh(self.layers(rings[:, :, index].transpose(1, 2).flatten(2)))
        mean, log_sigma = self.head(hidden.mean(1)).chunk(2, dim=-1)
        return mean, bounded(log_sigma)

    def infer(self, read: Read) -> tuple[Tensor, Tensor, Poses]:
        """Infer contents and poses in alternation."""
        with torch.no_grad():
            about = torch.zeros(len(read), 2)
            for _ in range(_ROUNDS):
                mean, log_sigma = self.encode(read, about)
                poses = self.pose(read, mean, draw=False)
                about = poses.shift
            poses = self._refine(read, mean, poses)
            mean, log_sigma = self.encode(read, poses.shift)
            return mean, log_sigma, self._refine(read, mean, poses)

    def _refine(self, read: Read, content: Tensor, poses: Poses) -> Poses:
        """Take a Gauss-Newton step where it is likelier."""
        prior = torch.zeros(3)
        if self.grid.reach:
            prior[1:] = (self.grid.reach / 2) ** -2
        here = torch.cat([poses.angle[:, None], poses.shift], dim=1)

        def residual(at: Tensor) -> Tensor:
            pose = replace(poses, angle=at[:, 0], shift=at[:, 1:])
            decoded = self.decode(content, self.grid.pixels, pose).transpose(1, 2)
            return ((read.pixels - decoded) / self.noise[:, None]).flatten(1)

        def cost(at: Tensor, rest: Tensor) -> Tensor:
            return rest.square().sum(1) + (prior * at.square()).sum(1)

        now, axes = residual(here), torch.eye(3) * 0.02
        slopes = torch.stack([residual(here + e) - residual(here - e) for e in axes], -1) / 0.04
        # A direction without effect (a rotated disc) must not diverge.
        normal = slopes.transpose(1, 2) @ slopes + torch.diag(prior + 1e-3)
        pull = -(slopes.transpose(1, 2) @ now[..., None])[..., 0] - prior * here
        if not self.grid.reach:
            normal[:, 1:, 1:] += 1e12 * torch.eye(2)
        there = here + torch.linalg.solve(normal, pull).clamp(-0.2, 0.2)
        better = cost(there, residual(there)) < cost(here, now)
        best = torch.where(better[:, None], there, here)
        within = torch.linalg.inv(normal).diagonal(dim1=1, dim2=2).sqrt()
        return replace(
            poses,
            angle=torch.remainder(best[:, 0] + math.pi, 2 * math.pi) - math.pi,
            shift=best[:, 1:],
            # The grid's spread counts only beyond one cell.
            angle_sigma=torch.maximum(within[:, 0], poses.angle_sigma - self.grid.cell[0]),
            shift_sigma=torch.maximum(within[:, 1:], poses.shift_sigma - self.grid.cell[1]),
        )

    def pose(self, read: Read, content: Tensor, *, draw: bool) -> Poses:
        """Draw poses of contents, or take the likeliest."""
        with torch.no_grad():
            y = self.decoder(content, self.grid.polar[None]).transpose(1, 2)
            score = self.grid.score(read.values, y, self.noise)
            return self.grid.draw(score, self.generator if draw else None)

    def decode(self, content: Tensor, positions: Tensor, poses: Poses) -> Tensor:
        """Values (n, p, c) at patch positions (p, 2) of content at `poses`."""
        return self.decoder(content, in_content(positions, poses.angle, poses.shift))

    def loss(self, read: Read, about: Tensor, *, training: bool) -> tuple[Tensor, Tensor]:
        """Negative evidence bound (n,) [nats], and contents (n, d). The centres `about` are replaced in place."""
        mean, log_sigma = self.encode(read, about, turns=_TURNS if training else ANGLES)
        content = sample(mean, log_sigma, self.generator) if training else mean
        poses = self.pose(read, content.detach(), draw=training)
        about.copy_(poses.shift)
        count = len(self.grid.pixels)
        some = torch.arange(count)
        if training and count > _PIXELS:
            some = torch.randperm(count, generator=self.generator)[:_PIXELS]
        decoded = self.decode(content, self.grid.pixels[some], poses).transpose(1, 2)
        square = (read.pixels[:, :, some] - decoded).square()
        if training:
            self.noise = followed(self.noise, square)
        each = 0.5 * square.mean(2) / self.noise.square() + self.noise.log()
        bound = count * each.sum(1) + normal_kl(mean, log_sigma) + poses.divergence
        if training:
            bound = bound + self._wander(read, about, mean, log_sigma)
        return bound, content

    def _wander(self, read: Read, about: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
        """Change (n,) of content about another centre, which keeps it free of the patch's place."""
        off = torch.randn(about.shape, generator=self.generator) * (self.grid.reach / 2)
        other, _ = self.encode(read, about + off, turns=_TURNS)
        return 0.5 * ((other - mean) / log_sigma.detach().exp()).square().sum(-1)


class ImageLoss:
    """Loss of patches that keeps their centres."""

    def __init__(self, image: ImageModel, read: Read) -> None:
        self.image, self.read, self.about = image, read, torch.zeros(len(read), 2)

    def __call__(self, index: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """Loss (k,) and contents (k, d) of the patches `index` (k,)."""
        centre = self.about[index]
        loss, content = self.image.loss(self.read[index], centre, training=training)
        self.about[index] = centre
        return loss, content
