"""The rotation- and translation-invariant autoencoder of image patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from grainscout.analysis.latent.images import ImageModel
from grainscout.analysis.latent.networks import one_thread
from grainscout.analysis.latent.patches import Scaling, Split, checked, split
from grainscout.analysis.latent.pose import Poses, window_positions
from grainscout.analysis.latent.training import History, Training, learn
from grainscout.records import ConfigError, DataError
from grainscout.records.arrays import FloatArray, IntArray

_CHUNK = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Latents:
    """What n patches hold and how they lie, each with a standard deviation.

    content (n, d), in units of the prior;  angle (n,) [rad] by which the content is turned, from
    columns towards rows;  shift (n, 2) of rows and columns [pixels].  A patch that looks the same
    at two angles has a large angle_sigma, and one of the two as angle.
    """

    content: FloatArray
    content_sigma: FloatArray
    angle: FloatArray
    angle_sigma: FloatArray
    shift: FloatArray
    shift_sigma: FloatArray

    def __len__(self) -> int:
        return len(self.content)


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What an image model is like.

    latents : of content;  hidden : units of both layers of encoder and decoder;  shift : largest
    shift of the content, as a part of the window;  own_mean : whether each patch loses its own
    mean, for all channels or for each (for heights; not for a current, whose mean says something).
    """

    latents: int = 2
    hidden: int = 128
    shift: float = 0.1
    own_mean: bool | Sequence[bool] = True

    def __post_init__(self) -> None:
        if self.latents < 1 or self.hidden < 4 or not 0 <= self.shift <= 0.25:
            raise ConfigError(
                "an image model must have latents >= 1, hidden >= 4 and shift from 0 to 0.25 of the "
                f"window; got {self.latents}, {self.hidden} and {self.shift}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class RotationVAE:
    """A fitted model; make one with :meth:`fit`.

    options, scaling, history, split : how it came about;  active : (d,) whether each latent says
    anything (its mean varies over the data by more than 0.01 prior variances; Burda et al. 2016).
    """

    options: ImageOptions
    window: int
    channels: int
    scaling: Scaling
    history: History
    split: Split
    active: np.ndarray[tuple[int], np.dtype[np.bool_]]
    image: ImageModel = field(repr=False)

    @classmethod
    def fit(
        cls,
        patches: ArrayLike,
        options: ImageOptions | None = None,
        *,
        training: Training | None = None,
        held_out: float = 0.15,
        seed: int = 0,
        progress: bool = False,
    ) -> RotationVAE:
        """Learn from patches (n, w, w) or (n, channels, w, w), in any unit.

        held_out : share of patches that decide when to stop.  The same data and seed give the same
        model.  DataError for bad patches, ConfigError for bad options.
        """
        options, training = options or ImageOptions(), training or Training()
        data = check_patches(patches)
        rng = np.random.default_rng(seed)
        parts = split(len(data), stop=held_out, test=0.0, rng=rng)
        scaling = Scaling.of(
            data[parts.train], own_mean=options.own_mean, flat_mean=True, name="patches"
        )
        with one_thread():
            image = image_model(options, data, torch.Generator().manual_seed(seed))
            read = image.read(torch.from_numpy(scaling.apply(data)))
            about = torch.zeros(len(data), 2)

            def loss(index: IntArray, training: bool) -> Tensor:
                some = torch.from_numpy(index)
                centre = about[some]
                bound, _ = image.loss(read[some], centre, training=training)
                about[some] = centre
                return bound.mean()

            history = learn(
                image.parameters,
                lambda index: loss(index, True),
                lambda: float(loss(parts.stop, False)),
                parts.train,
                training,
                rng=rng,
                progress=progress,
                title="rotation-invariant map",
            )
            contents = image.infer(read)[0].numpy()
        return cls(
            options=options,
            window=data.shape[-1],
            channels=data.shape[1],
            scaling=scaling,
            history=history,
            split=parts,
            active=active_units(contents),
            image=image,
        )

    def encode(self, patches: ArrayLike) -> Latents:
        """Content and pose of patches like those it was fitted to."""
        return encode_patches(self.image, self.scaling, patches, self.window)

    def decode(
        self, content: ArrayLike, *, angle: ArrayLike = 0.0, shift: ArrayLike = (0.0, 0.0)
    ) -> FloatArray:
        """(n, channels, w, w) patches of contents (n, d), in the unit of the data, own means off.

        angle : (n,) or one [rad];  shift : (n, 2) or one [pixels].
        """
        return decode_patches(self.image, self.scaling, content, angle, shift)

    def reconstruct(self, patches: ArrayLike) -> FloatArray:
        """What the model makes of patches: their decoded content at their own pose."""
        found = self.encode(patches)
        return self.decode(found.content, angle=found.angle, shift=found.shift)


def check_patches(patches: ArrayLike, window: int | None = None) -> FloatArray:
    """(n, channels, w, w) float64; DataError if they are not square or of another window."""
    data = checked(patches, "patches", 4)
    w = data.shape[-1]
    if data.shape[-2] != w or w < 4 or (window is not None and w != window):
        raise DataError(
            "patches must be square, at least 4 pixels wide"
            + (f" and {window} pixels like those of the fit" if window else "")
            + f"; got {data.shape[-2]} x {w}"
        )
    return data


def image_model(options: ImageOptions, data: FloatArray, generator: torch.Generator) -> ImageModel:
    """A fresh model for patches (n, channels, w, w)."""
    return ImageModel(
        window=data.shape[-1],
        channels=data.shape[1],
        latents=options.latents,
        hidden=options.hidden,
        reach=2 * options.shift,
        generator=generator,
    )


def active_units(contents: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(d,) whether the posterior means (n, d) vary by more than 0.01 prior variances."""
    return np.asarray(contents.var(axis=0) > 0.01)


def encode_patches(image: ImageModel, scaling: Scaling, patches: ArrayLike, window: int) -> Latents:
    """Content and pose of raw patches."""
    data = check_patches(patches, window)
    columns: list[list[Tensor]] = [[] for _ in range(6)]
    with torch.no_grad(), one_thread():
        for at in range(0, len(data), _CHUNK):
            read = image.read(torch.from_numpy(scaling.apply(data[at : at + _CHUNK])))
            mean, log_sigma, p = image.infer(read)
            found = (mean, log_sigma.exp(), p.angle, p.angle_sigma, p.shift, p.shift_sigma)
            for column, tensor in zip(columns, found, strict=True):
                column.append(tensor)
    arrays = [torch.cat(c).numpy().astype(np.float64) for c in columns]
    return Latents(
        content=arrays[0],
        content_sigma=arrays[1],
        angle=arrays[2],
        angle_sigma=arrays[3],
        shift=arrays[4] * window / 2,
        shift_sigma=arrays[5] * window / 2,
    )


def decode_patches(
    image: ImageModel, scaling: Scaling, content: ArrayLike, angle: ArrayLike, shift: ArrayLike
) -> FloatArray:
    """Raw patches of contents (n, d)."""
    z = np.asarray(content, dtype=np.float32)
    if z.ndim != 2 or z.shape[1] != image.latents:
        raise DataError(f"content must be (n, {image.latents}); got shape {z.shape}")
    n, w = len(z), image.grid.window
    turn = torch.from_numpy(np.broadcast_to(np.asarray(angle, np.float32), (n,)).copy())
    move = torch.from_numpy(np.broadcast_to(np.asarray(shift, np.float32), (n, 2)) / (w / 2))
    positions = window_positions(w)
    none = torch.zeros(n)
    poses = Poses(angle=turn, shift=move, angle_sigma=none, shift_sigma=move, divergence=none)
    with torch.no_grad(), one_thread():
        found = image.decode(torch.from_numpy(z), positions, poses)
    return scaling.undo(found.transpose(1, 2).reshape(n, -1, w, w).numpy())
