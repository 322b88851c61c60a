"""The structure reader's network: a small U-Net as a pure function of its weights.

Four levels of two 3 x 3 convolutions (Ronneberger et al. 2015, MICCAI), and the mean of the coarsest
level given back to all of it, so that a pixel knows what film it is in.  Half of the outputs are
estimates, half their log-variances.  Members of the ensemble see the image under different symmetries.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from grainscout.records import DataError, FloatArray

WIDTHS, INPUTS, OUTPUTS = (16, 32, 48, 64), 3, 16
MULTIPLE = 2 ** (len(WIDTHS) - 1)  # sides of an image are multiples of it
VERSION = 2
SIDES = (24, 40, 128)  # pixels of images whose usual strangeness is known
_STRANGE = 95  # percentile beyond which a reading is trusted less
_TILE, _MARGIN = 512, 64  # pixels

_WEIGHTS = Path(__file__).parent / "weights"
_LEARNT = ("widening", "prior", "film_mean", "film_root", "strangeness")

Weights = Mapping[str, Tensor]


def shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape of every array of a member."""
    w = WIDTHS
    ends = {f"down{k}": (w[k - 1] if k else INPUTS, w[k]) for k in range(len(w))}
    ends |= {f"up{k}": (w[k] + w[k + 1], w[k]) for k in range(len(w) - 1)}
    found: dict[str, tuple[int, ...]] = {}
    for name, (into, out) in ends.items():
        found |= {f"{name}.a.w": (out, into, 3, 3), f"{name}.a.b": (out,)}
        found |= {f"{name}.b.w": (out, out, 3, 3), f"{name}.b.b": (out,)}
    found |= {"film.w": (w[-1], w[-1], 1, 1), "film.b": (w[-1],)}
    return found | {"out.w": (OUTPUTS, w[0], 1, 1), "out.b": (OUTPUTS,)}


def initial_weights(seed: int) -> dict[str, Tensor]:
    """Random weights (He et al. 2015) of one member."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes().items():
        gain = math.sqrt(2.0 / math.prod(shape[1:])) if name.endswith("w") else 0.0
        gain *= 0.1 if name == "out.w" else 1.0
        weights[name] = gain * torch.randn(shape, generator=generator)
    return weights


def outputs(weights: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    """(n, OUTPUTS, rows, columns) of (n, INPUTS, rows, columns), and the film's mean features."""
    x = x.contiguous(memory_format=torch.channels_last)
    levels: list[Tensor] = []
    for k in range(len(WIDTHS)):
        x = _pair(weights, f"down{k}", functional.avg_pool2d(x, 2) if k else x)
        levels.append(x)
    film = x.mean((-2, -1), keepdim=True)
    x = x + functional.conv2d(film, weights["film.w"], weights["film.b"])
    for k in reversed(range(len(WIDTHS) - 1)):
        x = functional.interpolate(x, scale_factor=2, mode="bilinear")
        x = _pair(weights, f"up{k}", torch.cat([levels[k], x], 1))
    features = torch.cat([level.mean((-2, -1)) for level in levels], 1)
    return functional.conv2d(x, weights["out.w"], weights["out.b"]), features


def _pair(weights: Weights, name: str, x: Tensor) -> Tensor:
    for half in "ab":
        w, b = weights[f"{name}.{half}.w"], weights[f"{name}.{half}.b"]
        x = functional.leaky_relu(functional.conv2d(x, w, b, padding=1), 0.1)
    return x


def turned(x: Tensor, symmetry: int) -> Tensor:
    """An image under one of the square's eight symmetries."""
    x = torch.rot90(x, symmetry % 4, (-2, -1))
    return x.flip(-1) if symmetry >= 4 else x


def turned_back(x: Tensor, symmetry: int) -> Tensor:
    """Inverse of :func:`turned`."""
    return torch.rot90(x.flip(-1) if symmetry >= 4 else x, -symmetry, (-2, -1))


def estimates(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances (n, 8, rows, columns), in the order of the reader's MAPS, of the outputs."""
    shares = torch.softmax(raw[:, 2:5], 1)
    near, strength = torch.sigmoid(raw[:, 0:2]), torch.sigmoid(raw[:, 5:6])
    mean = torch.cat([near, shares, strength, torch.tanh(raw[:, 6:7]), raw[:, 7:8]], 1)
    # Between 0.01 and 3 in standard deviation, with a gradient everywhere.
    return mean, torch.exp(11.0 * torch.sigmoid(raw[:, 8:]) - 9.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """Members of the ensemble, and what was learnt of their errors on films held out."""

    members: tuple[Weights, ...]
    widening: FloatArray  #: (8,) factor on the standard deviation of each map
    prior: FloatArray  #: (2, 8) mean and standard deviation of each map over films
    film_mean: FloatArray  #: (160,), with the root a whitening of the first member's mean features
    film_root: FloatArray  #: (160, 160)
    #: (3, 101) percentiles of the distance from the mean of images with sides of `SIDES` pixels:
    #: of a small part of a film less is known.
    strangeness: FloatArray

    def distance(self, film: FloatArray) -> float:
        """How far the features of a film are from those of training, in deviations."""
        return float(np.sqrt(np.mean((self.film_root @ (film - self.film_mean)) ** 2)))

    def familiarity(self, film: FloatArray, shape: tuple[int, int]) -> tuple[float, float]:
        """Share of images held out, as large, that are stranger, and the trust 0 .. 1 in a reading."""
        far = self.distance(film)
        side = np.log(shape[0] * shape[1]) / 2
        seen = np.array([np.interp(side, np.log(SIDES), column) for column in self.strangeness.T])
        share = 1.0 - float(np.interp(far, seen, np.linspace(0.0, 1.0, len(seen))))
        return share, min(1.0, (seen[_STRANGE] / far) ** 4) if far > 0 else 1.0


def ask(
    trained: Trained, image: NDArray[np.floating[Any]]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means and deviations (8, rows, columns) of an input, tile by tile, and the film's features."""
    mean, sd = np.empty((2, len(trained.widening), *image.shape[1:]), np.float32)
    films, count = np.zeros(sum(WIDTHS)), 0
    for where, inner, tile in _tiles(image):
        m, v, film = _one_tile(trained.members, tile)
        mean[(slice(None), *where)] = m[(slice(None), *inner)]
        sd[(slice(None), *where)] = np.sqrt(v[(slice(None), *inner)])
        films, count = films + film, count + 1
    return mean, sd * trained.widening[:, None, None], films / count


def _tiles(
    image: NDArray[np.floating[Any]],
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice], NDArray[np.float32]]]:
    """Parts of the working grid, where each lies in its tile, and the tile."""
    rows, columns = image.shape[1:]
    for r in range(0, rows, _TILE):
        for c in range(0, columns, _TILE):
            top, left = max(0, r - _MARGIN), max(0, c - _MARGIN)
            bottom, right = min(rows, r + _TILE), min(columns, c + _TILE)
            tile = image[:, top : bottom + _MARGIN, left : right + _MARGIN].astype(np.float32)
            inner = (slice(r - top, bottom - top), slice(c - left, right - left))
            yield (slice(r, bottom), slice(c, right)), inner, tile


def _one_tile(
    members: Sequence[Weights], tile: NDArray[np.float32]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, total variance and film: members disagree, and each says how unsure it is."""
    rows, columns = tile.shape[1:]
    pad = ((0, 0), (0, -rows % MULTIPLE), (0, -columns % MULTIPLE))
    x = torch.as_tensor(np.pad(tile, pad, mode="symmetric"))[None]
    means, variances, films = [], [], []
    with torch.no_grad():
        for k, member in enumerate(members):
            for symmetry in (k % 8, (k + 4) % 8):
                raw, film = outputs(member, turned(x, symmetry))
                m, v = estimates(turned_back(raw, symmetry))
                means.append(m[0, :, :rows, :columns])
                variances.append(v[0, :, :rows, :columns])
                if k == 0:
                    films.append(film[0])
    mean = torch.stack(means)
    total = torch.stack(variances).mean(0) + mean.var(0, correction=0)
    film = torch.stack(films).mean(0)
    return mean.mean(0).numpy(), total.numpy(), film.numpy().astype(np.float64)


@lru_cache(maxsize=1)
def shipped() -> Trained:
    """The shipped ensemble; DataError if damaged or of another network."""
    return load(_WEIGHTS)


def evaluation() -> dict[str, Any]:
    """How the shipped reader was trained, and how good it is."""
    found: dict[str, Any] = json.loads((_WEIGHTS / "reader.json").read_text("utf-8"))
    return found


def load(folder: Path) -> Trained:
    """The ensemble of ``reader.npz`` and ``reader.json`` in a folder."""
    again = "Reinstall, or train anew: python -m grainscout.benchmarks.reader.train"
    try:
        record = json.loads((folder / "reader.json").read_text("utf-8"))
        with np.load(folder / "reader.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise DataError(
            f"the reader's weights must be readable in {folder}: {error}. {again}"
        ) from error
    found = {k: arrays[k].shape[1:] for k in shapes() if k in arrays}
    if record.get("version") != VERSION or found != shapes():
        raise DataError(
            f"the reader's weights in {folder} must be of this network, version {VERSION}; got "
            f"version {record.get('version')}. {again}"
        )
    whole = all(np.isfinite(a).all() for a in arrays.values())
    if digest(arrays) != record.get("sha256") or not whole:
        raise DataError(f"the reader's weights in {folder} must be as their digest says. {again}")
    return unpack(arrays)


def pack(trained: Trained) -> dict[str, NDArray[Any]]:
    """Arrays of an ensemble: weights in half precision, stacked along the first axis."""
    stacked: dict[str, NDArray[Any]] = {
        k: np.stack([m[k].detach().numpy() for m in trained.members]).astype(np.float16)
        for k in shapes()
    }
    return stacked | {k: getattr(trained, k).astype(np.float32) for k in _LEARNT}


def unpack(arrays: Mapping[str, NDArray[Any]]) -> Trained:
    """The ensemble that :func:`pack` packed."""

    def weights(a: NDArray[Any]) -> Tensor:
        order = torch.channels_last if a.ndim == 4 else torch.contiguous_format
        return torch.as_tensor(a.astype(np.float32)).contiguous(memory_format=order)

    count = len(arrays["out.b"])
    members = tuple({k: weights(arrays[k][i]) for k in shapes()} for i in range(count))
    return Trained(members=members, **{k: arrays[k].astype(np.float64) for k in _LEARNT})


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of named arrays."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()
