"""States of a training in a file of plain values and arrays, never pickle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from grainscout.records import pack, unpack

_NUMBER = "number "  # before the keys of an optimiser's state, which are numbers


def keep(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state. The file is the old one or the new one, whenever the machine stops."""
    part = path.with_suffix(".part")
    part.write_bytes(pack(_plain(state)))
    part.replace(path)


def kept(path: Path) -> dict[str, Any]:
    """The state, with tuples as lists. DataError for a file that `keep` did not write."""
    state: dict[str, Any] = _again(unpack(path.read_bytes()))
    return state


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous().numpy()
    if isinstance(value, Mapping):
        return {f"{_NUMBER}{k}" if isinstance(k, int) else k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _again(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            int(k.removeprefix(_NUMBER)) if k.startswith(_NUMBER) else k: _again(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_again(v) for v in value]
    return torch.as_tensor(value) if hasattr(value, "dtype") else value
