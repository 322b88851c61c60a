"""Grain boundaries by an ensemble of small residual edge detectors.

Each member is a ResHedNet (S23; holistically nested edges, Xie & Tu 2015, ICCV): 3, 4 and 5 residual
modules at full, half and quarter resolution, a side output of each, and a 1 x 1 convolution that
fuses them.  Its widths are 8, 12 and 16 channels (published: 64, 128, 256), so that five members are
small enough to ship.  They were trained from different initial weights, on different crops of
simulated films whose boundaries are known, by ``python -m grainscout.benchmarks.detector.train``;
``weights/boundary.json`` beside the weights says how good they are, and where they are not.

The network is a pure function of its weights, so no random state is touched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from grainscout.records import DataError, Scan
from grainscout.records.arrays import FloatArray

DEPTHS, WIDTHS = (3, 4, 5), (8, 12, 16)
MEMBERS = 5
#: Published threshold of the members' mean probability.
THRESHOLD = 0.4
_HIGH_PASS = 24.0  # pixels: what is slower than a grain tells nothing about its edges

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """Answer of the ensemble at each pixel.

    `probability` is the mean chance over the members that a boundary passes within 1.5 pixels,
    `spread` its standard deviation, large for images unlike those of their training.
    """

    probability: FloatArray
    spread: FloatArray


def detect(scan: Scan, members: Sequence[Weights] | None = None) -> Detection:
    """Boundaries that a scan shows, in its height or in its first channel if it has none.

    `members` of the ensemble are by default those shipped.
    """
    image = scan.image
    # Sides are made multiples of four, as the image is halved twice.
    rows, columns = image.shape
    pad = ((0, -rows % 4), (0, -columns % 4))
    x = torch.as_tensor(np.pad(relief(image), pad, mode="symmetric"))[None, None]
    with torch.no_grad():
        each = [torch.sigmoid(logits(w, x)) for w in members or shipped_ensemble()]
    stack = torch.cat(each)[:, 0, :rows, :columns].numpy().astype(np.float64)
    return Detection(probability=stack.mean(0), spread=stack.std(0))


def relief(image: FloatArray) -> NDArray[np.float32]:
    """Input of the network: height without line offsets and slow waves, unit spread.

    A line's offset is the median of its step from the line before it, of any size, as in training.
    """
    steps = np.median(np.diff(image, axis=0), axis=1)
    level = image - np.concatenate([[0.0], np.cumsum(steps)])[:, None]
    level = level - gaussian_filter(level, _HIGH_PASS, mode="mirror")
    spread = float(level.std())
    # A flat image stays flat: its rounding errors are not blown up to a landscape.
    flat = spread <= 1e-9 * float(np.abs(image).max())
    return np.asarray(level / (1.0 if flat else spread), np.float32)


def logits(weights: Weights, x: Tensor) -> Tensor:
    """(n, 1, rows, columns) log-odds of a boundary, of (n, 1, rows, columns) reliefs.

    rows and columns : multiples of four.
    """
    sides, size = [], x.shape[-2:]
    for level, depth in enumerate(DEPTHS):
        if level:
            x = functional.avg_pool2d(x, 2)
        x = functional.conv2d(x, weights[f"{level}.in.w"], weights[f"{level}.in.b"], padding=1)
        for module in range(depth):
            at = f"{level}.{module}"
            inner = functional.leaky_relu(x, 0.1)
            inner = functional.conv2d(inner, weights[f"{at}.a.w"], weights[f"{at}.a.b"], padding=1)
            inner = functional.leaky_relu(inner, 0.1)
            x = x + functional.conv2d(inner, weights[f"{at}.b.w"], weights[f"{at}.b.b"], padding=1)
        side = functional.conv2d(x, weights[f"{level}.side.w"], weights[f"{level}.side.b"])
        sides.append(functional.interpolate(side, size=size, mode="bilinear"))
    return functional.conv2d(torch.cat(sides, 1), weights["fuse.w"], weights["fuse.b"])


def initial_weights(seed: int) -> dict[str, Tensor]:
    """Random weights of one member; each residual module starts as the identity."""
    generator = torch.Generator().manual_seed(seed)

    def random(out: int, into: int, side: int, gain: float) -> Tensor:
        deviation = gain * math.sqrt(2.0 / (into * side * side))
        return deviation * torch.randn(out, into, side, side, generator=generator)

    weights: dict[str, Tensor] = {}
    before = 1
    for level, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True)):
        weights[f"{level}.in.w"] = random(width, before, 3, 1.0)
        for module in range(depth):
            weights[f"{level}.{module}.a.w"] = random(width, width, 3, 1.0)
            weights[f"{level}.{module}.b.w"] = random(width, width, 3, 0.1)
        weights[f"{level}.side.w"] = random(1, width, 1, 0.3)
        before = width
    weights["fuse.w"] = torch.ones(1, len(DEPTHS), 1, 1)
    biases = {k[:-1] + "b": torch.zeros(len(w)) for k, w in weights.items()}
    return {**weights, **biases}


def pack_ensemble(members: list[dict[str, Tensor]]) -> dict[str, NDArray[np.float16]]:
    """The members' weights as half-precision arrays, stacked along the first axis."""
    return {
        name: np.stack([m[name].detach().numpy() for m in members]).astype(np.float16)
        for name in members[0]
    }


def unpack_ensemble(arrays: Mapping[str, NDArray[np.float16]]) -> tuple[Weights, ...]:
    """The members that :func:`pack_ensemble` stacked."""
    single = {name: torch.as_tensor(a.astype(np.float32)) for name, a in arrays.items()}
    return tuple({name: a[k] for name, a in single.items()} for k in range(MEMBERS))


@lru_cache(maxsize=1)
def shipped_ensemble() -> tuple[Weights, ...]:
    """The shipped members; DataError if their file is missing or of another network."""
    place = files("grainscout.microstructure") / "weights" / "boundary.npz"
    expected = initial_weights(0)
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise DataError(f"the detector's weights must be readable at {place}: {error}") from error
    shapes = {name: (MEMBERS, *w.shape) for name, w in expected.items()}
    found = {name: a.shape for name, a in arrays.items()}
    if found != shapes or not all(np.isfinite(a).all() for a in arrays.values()):
        raise DataError(
            f"the detector's weights at {place} must be finite and of {MEMBERS} members of this "
            "network. Reinstall, or train them anew"
        )
    return unpack_ensemble(arrays)


def evaluation() -> dict[str, Any]:
    """Scores of the shipped detector, as its training wrote them beside the weights."""
    text = (files("grainscout.microstructure") / "weights" / "boundary.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
