"""Pose of a patch by search on a grid.

Convention: patch(p) = content(R(-angle) (p - shift)). Positions are (row, column) from the window's
centre, in half windows. The angle turns the column axis towards the row axis.

Angle and shift are found as in the averaging of electron micrographs. The content is decoded once
on rings and compared with the patch on the same rings about every shift. A rotation by one step of
the rings is then a change of index. The posterior on this grid is the best one for the present
decoder, so that no gradient has to go through it, and an angle cannot be ignored or collapse.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

ANGLES = 36
_SIDE = 5  # shifts along each axis


@dataclass(frozen=True, kw_only=True, eq=False)
class Poses:
    """Poses of n patches."""

    #: angle, angle_sigma: Rotation [rad] and its circular standard deviation, at most that of a
    #: uniform angle, (n,).
    angle: Tensor
    #: shift, shift_sigma: Shift [half windows] and its standard deviation, (n, 2).
    shift: Tensor
    angle_sigma: Tensor
    shift_sigma: Tensor
    divergence: Tensor  #: Of the posterior from the prior [nats], (n,)


class PoseGrid:
    """Rings, shifts [pixels] and priors: angles uniform, shifts normal with half the `reach`."""

    def __init__(self, window: int, reach: float) -> None:
        self.window, self.reach = window, reach
        half = window / 2
        grid = window_positions(window)
        #: Pixels of the inscribed disc, which a rotated patch still shows.
        self.inside = torch.nonzero(grid.square().sum(-1) <= 1.0).flatten()
        self.pixels = grid[self.inside]

        rings = max(4, math.ceil(half * (1 + reach) / 1.2))
        radius = (torch.arange(rings) + 0.5) * ((1 + reach) / rings)
        turn = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
        #: (rings * ANGLES, 2) positions of the rings about the origin.
        self.polar = (
            radius[:, None, None] * torch.stack([torch.sin(turn), torch.cos(turn)], dim=-1)
        ).reshape(-1, 2)
        # Area of each point in pixels, so that sums over rings are sums over pixels.
        area = radius * ((1 + reach) / rings) * (2 * math.pi / ANGLES) * half**2
        self.area = area[:, None].expand(rings, ANGLES).reshape(-1)

        #: Widths of the grid's cells in angle and shift.
        self.cell = (2 * math.pi / ANGLES, reach / 2)
        steps = torch.linspace(-reach, reach, _SIDE) if reach > 0 else torch.zeros(1)
        self.shifts = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        spread = max(reach / 2, 1e-6)
        self.log_prior = torch.log_softmax(-0.5 * (self.shifts / spread).square().sum(-1), dim=0)

        ring, angle = torch.arange(rings)[:, None], torch.arange(ANGLES)[None]
        #: (ANGLES, points): content turned by k steps is content[turned[k]].
        self.turned = torch.stack(
            [(ring * ANGLES + (angle - k) % ANGLES).reshape(-1) for k in range(ANGLES)]
        )
        #: Rings of the window itself, those that an encoder reads: the first `inner` points.
        self.inner = int((radius <= 1.0).sum()) * ANGLES
        disc = torch.zeros(window * window)
        disc[self.inside] = 1.0
        self.disc = disc.reshape(window, window)
        everywhere = (self.shifts[:, None] + self.polar).reshape(1, -1, 2)
        #: (shifts, points) part of each reading that lies on the disc.
        self.cover = self.at(self.disc[None, None], everywhere).reshape(len(self.shifts), -1)
        self._everywhere = everywhere

    @staticmethod
    def at(images: Tensor, positions: Tensor) -> Tensor:
        """Bilinear values (n, c, p) of images (n, c, w, w) at positions (n or 1, p, 2)."""
        grid = positions.flip(-1)[:, None].expand(len(images), -1, -1, -1)
        return grid_sample(images, grid, align_corners=False)[:, :, 0]

    def read(self, patches: Tensor) -> Tensor:
        """Values (n, shifts, c, points) of patches on rings about every shift."""
        values = self.at(patches * self.disc, self._everywhere)
        values = values.reshape(*values.shape[:2], *self.cover.shape) / self.cover.clamp_min(1e-3)
        return values.transpose(1, 2).contiguous()

    def read_about(self, patches: Tensor, shift: Tensor, angle: Tensor) -> Tensor:
        """Values (n, c, inner points) of patches on inner rings about one shift."""
        cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
        row, column = self.polar[: self.inner].T
        rings = torch.stack([cos * row + sin * column, cos * column - sin * row], dim=-1)
        return self.at(patches * self.disc, shift[:, None] + rings)

    def score(self, values: Tensor, content: Tensor, noise: Tensor) -> Tensor:
        """Log likelihood (n, ANGLES, shifts) of readings, up to a constant."""
        n, shifts = len(values), len(self.shifts)
        weight = self.cover * self.area
        x = (values * weight[:, None]) / noise[:, None].square()
        y = content[:, :, self.turned].transpose(1, 2)  # (n, ANGLES, c, points)
        cross = y.reshape(n, ANGLES, -1) @ x.reshape(n, shifts, -1).transpose(1, 2)
        size = (y.square() / noise[:, None].square()).sum(2) @ weight.T
        own = (values.square() * weight[:, None] / noise[:, None].square()).sum((2, 3))
        return cross - 0.5 * size - 0.5 * own[:, None]

    def draw(self, score: Tensor, generator: torch.Generator | None) -> Poses:
        """Draw poses, or the likeliest, from log likelihoods, refined by parabolas."""
        n = len(score)
        log = score + self.log_prior
        posterior = torch.softmax(log.reshape(n, -1), dim=1)
        chosen = (
            posterior.argmax(1)
            if generator is None
            else torch.multinomial(posterior, 1, generator=generator)[:, 0]
        )
        k, s = chosen // len(self.shifts), chosen % len(self.shifts)
        every = torch.arange(n)
        step = 2 * math.pi / ANGLES
        angle = (k + _peak(*(log[every, (k + d) % ANGLES, s] for d in (-1, 0, 1)))) * step
        shift = self.shifts[s] + self._between(log, k, s)
        full = posterior.reshape(n, ANGLES, -1)
        turn = torch.arange(ANGLES) * step
        by_angle = full.sum(2)
        length = torch.hypot(by_angle @ torch.cos(turn), by_angle @ torch.sin(turn))
        by_shift = full.sum(1)
        mean = by_shift @ self.shifts
        variance = (by_shift @ self.shifts.square() - mean.square()).clamp_min(0)
        prior = self.log_prior - math.log(ANGLES)
        divergence = posterior * (posterior.clamp_min(1e-30).log() - prior.repeat(ANGLES))
        return Poses(
            angle=torch.remainder(angle + math.pi, 2 * math.pi) - math.pi,
            shift=shift,
            # Within a cell of the grid the uncertainty is its width over sqrt(12) at most.
            angle_sigma=(-2 * length.clamp(1e-6, 1.0).log() + step**2 / 12)
            .sqrt()
            .clamp(max=math.pi / math.sqrt(3)),
            shift_sigma=(variance + self.cell[1] ** 2 / 12).sqrt(),
            divergence=divergence.sum(1),
        )

    def _between(self, log: Tensor, k: Tensor, s: Tensor) -> Tensor:
        """Refine the shift (n, 2), except at the edge."""
        if not self.reach:
            return torch.zeros(len(k), 2)
        every = torch.arange(len(k))
        row, column = s // _SIDE, s % _SIDE
        parts = []
        for place, stride in ((row, _SIDE), (column, 1)):
            interior = (place > 0) & (place < _SIDE - 1)
            move = torch.where(interior, torch.full_like(s, stride), torch.zeros_like(s))
            values = [log[every, k, s + d * move] for d in (-1, 0, 1)]
            parts.append(torch.where(interior, _peak(*values), torch.zeros(len(k))))
        return torch.stack(parts, -1) * (self.reach / 2)


def window_positions(window: int) -> Tensor:
    """Positions (window * window, 2) of the pixels, row by row."""
    axis = (torch.arange(window, dtype=torch.float32) - (window - 1) / 2) / (window / 2)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)


def _peak(before: Tensor, at: Tensor, after: Tensor) -> Tensor:
    """Offset of a parabola's maximum [steps]."""
    bend = before - 2 * at + after
    offset = 0.5 * (before - after) / torch.where(bend < 0, bend, torch.ones_like(bend))
    return torch.where(bend < 0, offset.clamp(-0.5, 0.5), torch.zeros_like(offset))


def in_content(positions: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Content coordinates (n, p, 2) of positions (p, 2): R(-angle)(p - shift)."""
    moved = positions - shift[:, None]
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    row, column = moved[..., 0], moved[..., 1]
    return torch.stack([cos * row - sin * column, sin * row + cos * column], dim=-1)
