"""Grain masks and label images that a person made, for the grains of a topography."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from grainscout.analysis.formats.files import fault, intact
from grainscout.analysis.formats.reader import read_image
from grainscout.records import IntArray, Scan, regular

_PICTURES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"}


def read_grains(path: Path | str, scan: Scan, channel: str | None = None) -> IntArray:
    """Grain of each pixel of a scan, 0 .. n-1, from a mask or a label image; DataError if it does not fit.

    An array, a table of whole numbers, a picture, or a Gwyddion file with a mask (named by `channel`). A mask
    of two values has grains where the more frequent one is, or where a Gwyddion mask is set. In a label image
    each number or colour is a grain, and 0 or black none. A pixel of none goes to the nearest grain, and parts
    that do not touch are grains of their own.
    """
    with intact(path, "mask of grains"):
        values = _values(path, channel)
    part = scan.metadata.get("part")
    if part is not None and values.shape == tuple(part[4:]):
        row, column, rows, columns = part[:4]
        values = values[row : row + rows, column : column + columns]
    if values.shape != scan.shape:
        raise fault(
            path,
            f"have the pixels of the topography, {scan.shape[0]} x {scan.shape[1]}",
            " x ".join(map(str, values.shape)),
        )
    levels = np.unique(values)
    if levels.size == 2:
        is_mask = Path(path).suffix.lower() == ".gwy"
        share = float((values == levels[1]).mean())
        grain = levels[1] if is_mask or share >= 0.5 else levels[0]
        numbers = _connected(values == grain)
    else:
        numbers = _connected(values)
    if not numbers.any():
        raise fault(path, "mark at least one grain", "none")
    nearest: Any = ndimage.distance_transform_edt(
        numbers == 0, sampling=scan.pixel_size, return_distances=False, return_indices=True
    )
    filled = numbers[tuple(nearest)]
    return np.unique(filled, return_inverse=True)[1].reshape(filled.shape).astype(np.int64)


def _connected(values: NDArray[Any]) -> IntArray:
    """Number of each connected part of equal values, from 1 on; 0 where the value is 0."""
    return np.asarray(label(values, background=0, connectivity=1), np.int64)


def _values(path: Path | str, channel: str | None) -> NDArray[Any]:
    """(rows, columns) array of whole numbers, one for each value or colour."""
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        values = np.load(path, allow_pickle=False)
    elif suffix in _PICTURES:
        from skimage.io import imread

        values = np.asarray(imread(path))
        if values.ndim == 3:
            colours = values[..., :3].astype(np.int64) @ np.array([1, 256, 65536])
            values = np.unique(colours, return_inverse=True)[1].reshape(colours.shape)
            if colours.min() > 0:  # no black: each colour is a grain
                values = values + 1
    elif suffix in {".csv", ".txt"}:
        text = regular(path).read_text(encoding="utf-8-sig")
        values = np.loadtxt(text.replace(",", " ").replace(";", " ").splitlines(), ndmin=2)
    else:
        scan = read_image(path)
        masks = [n for n in scan.channels if "mask" in n.lower() or n == channel]
        name = channel if channel in masks else masks[0] if len(masks) == 1 else None
        if name is None:
            raise fault(
                path, "hold one mask, or be told which", ", ".join(scan.channels), "Give its name"
            )
        values = scan.channels[name]
    if values.ndim != 2 or values.dtype.kind not in "biuf" or values.size == 0:
        raise fault(path, "hold one picture of numbers", f"{values.dtype} of shape {values.shape}")
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise fault(path, "hold whole numbers", "others")
    return np.asarray(values, np.int64)
