"""Films as HDF5 files.

    /                attributes: format, version, spec (JSON), seed (JSON), made_with (JSON), digest
    /structure/...   the maps and tables of `Structure`
    /measured        the user's image, if any
    /truth/...       the electrical maps of `TransportMaps`

A file is written beside its place and moved there when complete, so that a crash leaves no half.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import scipy
from numpy.typing import NDArray

from grainscout.microstructure.structure import Structure
from grainscout.records import ConfigError, DataError, regular
from grainscout.records.encoding.hdf5 import LIBRARY_ERRORS, refuse_elsewhere, stored, survived
from grainscout.simulator.film.blend import TransportMaps
from grainscout.simulator.film.spec import FilmSpec

if TYPE_CHECKING:
    from grainscout.simulator.film.film import Film

_FORMAT, _VERSION = "grainscout film", 1


def save(film: Film, path: Path) -> None:
    """Write a film. DataError if that is impossible."""
    made_with = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "spec": json.dumps(film.spec.to_dict(), sort_keys=True),
        "seed": json.dumps({"entropy": film.seed.entropy, "spawn_key": list(film.seed.spawn_key)}),
        "made_with": json.dumps(made_with),
    }
    arrays = _arrays(film)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(part, "w") as file:
            for name, array in arrays.items():
                large = array.size > 4096
                file.create_dataset(
                    name, data=array, **({"compression": "lzf", "shuffle": True} if large else {})
                )
            for name, value in header.items():
                file.attrs[name] = value
            file.attrs["digest"] = _digest(header, arrays)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"film cannot be written to {path}: {error}") from error


def load(path: Path) -> dict[str, Any]:
    """Read the arguments of a film. DataError if missing, foreign or damaged."""
    survived(path, _read)
    header, digest, arrays = _read(path)
    if digest != _digest(header, arrays):
        raise DataError(f"film file {path} is damaged or was changed: its digest does not match")
    try:
        spec = FilmSpec.from_dict(json.loads(header["spec"]))
        seed = np.random.SeedSequence(**json.loads(header["seed"]))
        tables: dict[str, Any] = _tree(arrays, "structure/")
        first, second = tables.pop("pixel_size")
        return {
            "spec": spec,
            "seed": seed,
            "structure": Structure(**tables, pixel_size=(float(first), float(second))),
            "stored_truth": TransportMaps(**_tree(arrays, "truth/")),
            "measured": arrays.get("measured"),
        }
    except (KeyError, ValueError, TypeError, ConfigError) as error:
        raise DataError(f"film file {path} lacks a part or has a bad one: {error}") from error


def _read(path: Path) -> tuple[dict[str, Any], object, dict[str, NDArray[Any]]]:
    """Header, digest and arrays as they are stored."""
    arrays: dict[str, NDArray[Any]] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = stored(path, item, tables=True)

    try:
        with h5py.File(regular(path), "r") as file:
            refuse_elsewhere(path, file)
            header = {k: v for k, v in file.attrs.items() if k != "digest"}
            if header.get("format") != _FORMAT:
                raise DataError(
                    f"{path} must be a film file; its format is {header.get('format')!r}"
                )
            if header.get("version") != _VERSION:
                raise DataError(
                    f"film file {path} must be of version {_VERSION}; got {header.get('version')}"
                )
            digest = file.attrs.get("digest")
            file.visititems(visit)
    except DataError:
        raise
    except (*LIBRARY_ERRORS, LookupError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"film file {path} must be a complete HDF5 file; it cannot be read: {error}"
        ) from error
    return header, digest, arrays


def _tree(arrays: dict[str, NDArray[Any]], under: str) -> dict[str, Any]:
    """The arrays below a folder, sub-folders as dictionaries."""
    out: dict[str, Any] = {}
    for name, array in arrays.items():
        if name.startswith(under):
            first, _, rest = name.removeprefix(under).partition("/")
            if rest:
                out.setdefault(first, {})[rest] = array
            else:
                out[first] = array
    return out


def _arrays(film: Film) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    for part in fields(Structure):
        out[f"structure/{part.name}"] = np.asarray(getattr(film.structure, part.name))
    for part in fields(TransportMaps):
        value = getattr(film.truth, part.name)
        items = value.items() if isinstance(value, dict) else [("", value)]
        for key, array in items:
            out[f"truth/{part.name}/{key}".rstrip("/")] = np.asarray(array)
    if film.measured is not None:
        out["measured"] = film.measured
    return out


def _digest(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> str:
    total = hashlib.sha256(json.dumps({k: str(header[k]) for k in sorted(header)}).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
