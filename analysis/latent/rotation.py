"""Rotation- and translation-invariant autoencoder of image patches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from grainscout.analysis.latent.images import ImageLoss, ImageModel
from grainscout.analysis.latent.networks import History, Training, learn, one_thread
from grainscout.analysis.latent.patches import Scaling, Split, checked, split
from grainscout.analysis.latent.pose import Poses, window_positions
from grainscout.records import BoolArray, ConfigError, DataError, FloatArray

_CHUNK = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Latents:
    """Content and pose of n patches."""

    #: content, content_sigma: In units of the prior, (n, d)
    content: FloatArray
    content_sigma: FloatArray
    #: angle, angle_sigma: Rotation of the content [rad], from columns towards rows. A patch that
    #: looks the same at two angles has a large sigma and one of the two as angle, (n,)
    angle: FloatArray
    angle_sigma: FloatArray
    #: shift, shift_sigma: Shift along rows and columns [pixels], (n, 2)
    shift: FloatArray
    shift_sigma: FloatArray

    def __len__(self) -> int:
        return len(self.content)


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Options of an image model."""

    latents: int = 2  #: Number of content latents
    hidden: int = 128  #: Units of both layers of encoder and decoder
    shift: float = 0.1  #: Largest shift of the content, as a part of the window
    #: Subtract each patch's own mean, for all channels or for each. True for heights, False for a
    #: current, whose mean carries information.
    own_mean: bool | Sequence[bool] = True

    def __post_init__(self) -> None:
        if self.latents < 1 or self.hidden < 4 or not 0 <= self.shift <= 0.25:
            raise ConfigError(
                "an image model must have latents >= 1, hidden >= 4 and shift from 0 to 0.25 of the "
                f"window; got {self.latents}, {self.hidden} and {self.shift}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class RotationVAE:
    """Fitted autoencoder, made by :meth:`fit`."""

    #: options, window, channels, scaling, history, split: Settings and course of the fit
    options: ImageOptions
    window: int
    channels: int
    scaling: Scaling
    history: History
    split: Split
    #: Latents in use: the mean varies over the data by more than 0.01 prior variances (Burda et al.
    #: 2016), (d,)
    active: BoolArray
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
    ) -> "RotationVAE":
        """Learn from patches.

        The same data and seed give the same model.

        Parameters
        ----------
        patches : (n, [channels,] w, w) array of float
            In any unit.
        options : ImageOptions, optional
            Options of the model.
        training : Training, optional
            Settings of the training.
        held_out : float
            Share of patches that decide when to stop.
        seed : int
            Of the split, the weights and the training.
        progress : bool
            Show a progress bar.
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
            image_loss = ImageLoss(image, read)
            history = learn(
                image.parameters,
                lambda index, training: image_loss(index, training)[0].mean(),
                parts,
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
        """Infer content and pose of patches."""
        return encode_patches(self.image, self.scaling, patches, self.window)

    def decode(
        self, content: ArrayLike, *, angle: ArrayLike = 0.0, shift: ArrayLike = (0.0, 0.0)
    ) -> FloatArray:
        """Decode contents to patches (n, channels, w, w).

        Parameters
        ----------
        content : (n, d) array of float
            Contents, in units of the prior.
        angle : float or (n,) array of float
            Rotation [rad].
        shift : (2,) or (n, 2) array of float
            Shift along rows and columns [pixels].

        Returns
        -------
        array of float
            In the unit of the data, without own means.
        """
        return decode_patches(self.image, self.scaling, content, angle, shift)

    def reconstruct(self, patches: ArrayLike) -> FloatArray:
        """Decode the content of patches at their own pose."""
        latents = self.encode(patches)
        return self.decode(latents.content, angle=latents.angle, shift=latents.shift)


def check_patches(patches: ArrayLike, window: int | None = None) -> FloatArray:
    """Return square patches as (n, channels, w, w)."""
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
    """Make a new model for patches (n, channels, w, w)."""
    return ImageModel(
        window=data.shape[-1],
        channels=data.shape[1],
        latents=options.latents,
        hidden=options.hidden,
        reach=2 * options.shift,
        generator=generator,
    )


def active_units(contents: FloatArray) -> BoolArray:
    """Latents (d,) in use, by their variance."""
    return np.asarray(contents.var(axis=0) > 0.01)


def encode_patches(image: ImageModel, scaling: Scaling, patches: ArrayLike, window: int) -> Latents:
    """Infer content and pose of raw patches."""
    data = check_patches(patches, window)
    columns: list[list[Tensor]] = [[] for _ in range(6)]
    with torch.no_grad(), one_thread():
        for at in range(0, len(data), _CHUNK):
            read = image.read(torch.from_numpy(scaling.apply(data[at : at + _CHUNK])))
            mean, log_sigma, p = image.infer(read)
            parts = (mean, log_sigma.exp(), p.angle, p.angle_sigma, p.shift, p.shift_sigma)
            for column, tensor in zip(columns, parts, strict=True):
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
    """Decode contents (n, d) to raw patches."""
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
        decoded = image.decode(torch.from_numpy(z), positions, poses)
    return scaling.undo(decoded.transpose(1, 2).reshape(n, -1, w, w).numpy())
