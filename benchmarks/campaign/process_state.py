"""State of a process that a policy may alter and the next cell would inherit."""

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import numpy as np


def _fill(place: Any, values: Any) -> None:
    place.clear()
    place.update(values) if hasattr(place, "update") else place.extend(values)


def _filter(values: Any) -> None:
    warnings.resetwarnings()
    cast(list[Any], warnings.filters).extend(values)


#: Name -> how it is read, and how it is set.
_STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "numpy's error handling": (np.geterr, lambda v: np.seterr(**v)),
    "numpy's global generator": (np.random.get_state, np.random.set_state),
    "python's global generator": (random.getstate, random.setstate),
    "warning filters": (lambda: list(warnings.filters), _filter),
    "environment variables": (lambda: dict(os.environ), lambda v: _fill(os.environ, v)),
    "import path": (lambda: list(sys.path), lambda v: _fill(sys.path, v)),
    "working directory": (os.getcwd, os.chdir),
}
#: Of torch, once it is loaded: name of the reader and of the writer.
_TORCH = {
    "torch's threads": ("get_num_threads", "set_num_threads"),
    "torch's default dtype": ("get_default_dtype", "set_default_dtype"),
    "torch's gradient mode": ("is_grad_enabled", "set_grad_enabled"),
    "torch's determinism": ("are_deterministic_algorithms_enabled", "use_deterministic_algorithms"),
    "torch's global generator": ("get_rng_state", "set_rng_state"),
}


@contextmanager
def process_state_restored() -> Iterator[list[str]]:
    """Put the state back at the end. The list then holds the names of what had been altered."""
    altered: list[str] = []
    before = {name: read() for name, (read, _) in _parts().items()}
    try:
        yield altered
    finally:
        for name, (read, restore) in _parts().items():
            now = None
            with suppress(OSError):  # the working directory may be gone
                now = read()
            if name in before and not _same(before[name], now):
                altered.append(name)
                restore(before[name])


def _parts() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    torch = sys.modules.get("torch")
    if torch is None:
        return _STATE
    return _STATE | {k: (getattr(torch, r), getattr(torch, w)) for k, (r, w) in _TORCH.items()}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(np.array_equal(one, other)) if hasattr(one, "shape") else bool(one == other)
