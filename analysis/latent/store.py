"""Files of fitted models, without code.

A file is `records.pack` of one tree: identifier, version, class of the model, options and arrays. A
model is built anew from the options and accepts only arrays of the shapes that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grainscout.analysis.latent.cross_modal import CrossModalRegression
from grainscout.analysis.latent.dual import DualOptions, DualVAE, SpectrumModel, spectrum_model
from grainscout.analysis.latent.images import ImageModel
from grainscout.analysis.latent.networks import CoordinateDecoder, History, Network
from grainscout.analysis.latent.patches import Scaling, Split
from grainscout.analysis.latent.published import FAULTS, PublishedDualVAE, networks_of
from grainscout.analysis.latent.rotation import ImageOptions, RotationVAE, image_model
from grainscout.records import ConfigError, DataError, pack, regular, unpack

WHAT, VERSION = "grainscout latent model", 1

Model = RotationVAE | DualVAE | PublishedDualVAE


def save_model(model: Model, path: str | Path) -> None:
    """Write a fitted model and replace atomically."""
    state = {"what": WHAT, "version": VERSION, "kind": type(model).__name__, **_state(model)}
    target = Path(path)
    draft = target.with_name(target.name + ".part")
    draft.write_bytes(pack(state))
    draft.replace(target)


def load_model(path: str | Path) -> Model:
    """Load a model exactly as it was saved.

    Raises
    ------
    DataError
        If the file is foreign, damaged, of another version, or has arrays of other shapes.
    """
    try:
        state = unpack(regular(path).read_bytes())
        header = (state.get("what"), state.get("version"))
        if header != (WHAT, VERSION):
            raise DataError(
                f"the file must be a {WHAT} of version {VERSION}; it is {header[0]!r} of version "
                f"{header[1]!r}. Fit the model again with this version and save it"
            )
        makers: dict[object, Callable[[_Reader], Model]] = {
            "RotationVAE": _rotation,
            "DualVAE": _dual,
            "PublishedDualVAE": _published,
        }
        if state.get("kind") not in makers:
            raise DataError(f"kind must be one of {', '.join(map(str, makers))}; got {state.get('kind')!r}")  # fmt: skip
        return makers[state["kind"]](_Reader(tree=state))
    except (DataError, ConfigError) as error:
        raise DataError(f"{path} cannot be loaded as a latent model: {error}") from error


def _state(model: Model) -> dict[str, Any]:
    """Fields of a model as the file has them."""
    tree = {f.name.strip("_"): _plain(getattr(model, f.name)) for f in fields(model)}
    if isinstance(model, DualVAE):
        tree["channels"] = len(model.image.noise)
    return tree


def _plain(value: Any) -> Any:
    """Arrays and plain values of a part of a model."""
    if isinstance(value, (ImageModel, SpectrumModel)):
        return [*_arrays(value.parameters), value.noise.numpy()]
    if isinstance(value, (Network, CoordinateDecoder)):
        return _arrays(value.parameters)
    if isinstance(
        value, (ImageOptions, DualOptions)
    ):  # a switch for each channel may be any sequence
        return {f.name: _listed(getattr(value, f.name)) for f in fields(value)}
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (tuple, frozenset)):
        return [_plain(v) for v in (sorted(value) if isinstance(value, frozenset) else value)]
    return value


def _listed(value: Any) -> Any:
    if is_dataclass(value):
        return _plain(value)
    return value if np.isscalar(value) else np.asarray(value).tolist()


def _arrays(tensors: Iterable[Tensor]) -> list[NDArray[np.float32]]:
    return [t.detach().numpy() for t in tensors]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Part of the tree, checked when read."""

    tree: Any
    where: str = "the file"

    def __getitem__(self, name: str) -> _Reader:
        if not isinstance(self.tree, Mapping) or name not in self.tree:
            raise DataError(f"{self.where} must hold {name!r}")
        return _Reader(tree=self.tree[name], where=name)

    def whole(self) -> int:
        if type(self.tree) is not int or not 0 < self.tree < 1_000_000:
            raise DataError(f"{self.where} must be a whole number of 1 or more; got {self.tree!r}")
        return self.tree

    def array(self, shape: Sequence[int | None], dtype: str = "f") -> NDArray[Any]:
        """Return a finite array of that shape."""
        a = self.tree
        fits = (
            isinstance(a, np.ndarray)
            and a.dtype.kind == dtype
            and a.ndim == len(shape)
            and all(n is None or n == m for n, m in zip(shape, a.shape, strict=True))
        )
        if not fits or not np.isfinite(a).all():
            got = f"shape {a.shape} of {a.dtype}" if isinstance(a, np.ndarray) else type(a).__name__
            raise DataError(
                f"{self.where} must be a finite array of shape {tuple(shape)}; got {got}"
            )
        return np.asarray(a)

    def arrays(self, **shapes: Sequence[int | None]) -> dict[str, NDArray[Any]]:
        """Return finite arrays by name."""
        return {name: self[name].array(shape) for name, shape in shapes.items()}

    def items(self, count: int) -> list[_Reader]:
        if not isinstance(self.tree, list) or len(self.tree) != count:
            raise DataError(f"{self.where} must be a list of {count}")
        return [_Reader(tree=t, where=f"{self.where}[{k}]") for k, t in enumerate(self.tree)]

    def into(self, tensors: Sequence[Tensor]) -> None:
        """Copy the arrays into tensors of the same shapes."""
        for item, tensor in zip(self.items(len(tensors)), tensors, strict=True):
            tensor.copy_(torch.from_numpy(item.array(tuple(tensor.shape))))

    def keywords(self, options: type[Any], **changes: Any) -> Any:
        """Make an options object of these plain values."""
        if not isinstance(self.tree, Mapping):
            raise DataError(f"{self.where} must hold named values")
        try:
            return options(**{**self.tree, **changes})
        except TypeError as error:
            raise DataError(
                f"{self.where} must be options of {options.__name__}: {error}"
            ) from error


def _scaling(r: _Reader, shape: tuple[int, ...]) -> Scaling:
    each = shape[:1]
    own = {k: r[k].array(each, "b") for k in ("own_mean", "own_size")}
    return Scaling(**own, **r.arrays(floor=each, mean=shape, scale=each))


def _history(r: _Reader) -> History:
    best, early = r["best"].tree, r["stopped_early"].tree
    if type(best) is not int or type(early) is not bool:
        raise DataError(f"history must tell its best epoch and whether it stopped; got {best!r}, {early!r}")  # fmt: skip
    losses = r.arrays(train=(None,), held_out=(None,))
    return History(**losses, best=best, stopped_early=early)


def _common(r: _Reader, options: ImageOptions) -> dict[str, Any]:
    """Fields that both of our models have."""
    window, channels = r["window"].whole(), r["channels"].whole()
    image = image_model(options, np.empty((0, channels, window, window)), torch.Generator())
    r["image"].into([*image.parameters, image.noise])
    return {
        "window": window,
        "image": image,
        "history": _history(r["history"]),
        "split": Split(**{k: r["split"][k].array((None,), "i") for k in ("train", "stop", "test")}),
    }


def _rotation(r: _Reader) -> RotationVAE:
    options, channels = r["options"].keywords(ImageOptions), r["channels"].whole()
    return RotationVAE(
        **_common(r, options),
        options=options,
        channels=channels,
        scaling=_scaling(r["scaling"], (channels, 1, 1)),
        active=r["active"].array((options.latents,), "b"),
    )


def _dual(r: _Reader) -> DualVAE:
    options = r["options"].keywords(DualOptions, image=r["options"]["image"].keywords(ImageOptions))
    common, d = _common(r, options.image), options.image.latents
    channels, samples = (item.whole() for item in r["shape"].items(2))
    spectrum = spectrum_model(options, (channels, samples), torch.Generator())
    r["spectrum"].into([*spectrum.parameters, spectrum.noise])
    link = r["link"]
    m, f = link["known"].array((None, None)).shape
    coefficients = link.arrays(
        middle=(f,), spread=(f,), known=(m, f), weights=(m, d), mean=(d,), scatter=(d, d)
    )
    return DualVAE(
        **common,
        options=options,
        shape=(channels, samples),
        image_scaling=_scaling(r["image_scaling"], (r["channels"].whole(), 1, 1)),
        spectrum_scaling=_scaling(r["spectrum_scaling"], (channels, samples)),
        alignment=r["alignment"].array((d, d)),
        link=CrossModalRegression(**coefficients),
        active_image=r["active_image"].array((d,), "b"),
        active_spectrum=r["active_spectrum"].array((d,), "b"),
        spectrum=spectrum,
    )


def _published(r: _Reader) -> PublishedDualVAE:
    window, faults = r["window"].whole(), r["faults"].tree
    if not isinstance(faults, list) or not set(map(str, faults)) <= set(FAULTS):
        raise DataError(f"faults must be of {', '.join(FAULTS)}; got {faults!r}")
    low, span = (r[name].items(2) for name in ("low", "span"))
    ends = [(a.array((None, 1)), b.array((None, 1))) for a, b in zip(low, span, strict=True)]
    losses, layers = r["losses"].array((None,)), r["networks"].items(4)
    # Only the last layer of the spectra's decoder gives the number of samples.
    last = layers[3].tree[-1] if isinstance(layers[3].tree, list) and layers[3].tree else None
    size = last.size if isinstance(last, np.ndarray) and last.ndim == 1 else 0
    networks = networks_of(window, len(ends[0][0]), size, torch.Generator())
    for layer, network in zip(layers, networks, strict=True):
        layer.into(network.parameters)  # type: ignore[attr-defined]
    return PublishedDualVAE(
        faults=frozenset(faults),
        alignment=r["alignment"].array((2, 2)),
        losses=losses,
        window=window,
        low=(ends[0][0], ends[1][0]),
        span=(ends[0][1], ends[1][1]),
        _networks=networks,
    )
