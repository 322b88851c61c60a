"""The shipped weights, and the rows of the kernel's table that they make of a scan."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.models.pretrained.inputs import Inputs
from grainscout.policies.models.pretrained.kernel import BENT, LEARNT, LINEAR, PARAMETERS
from grainscout.policies.models.pretrained.kinds import KIND
from grainscout.records import DataError, FloatArray

#: Version of network and inputs. Weights of another one are refused.
VERSION = 2
HIDDEN = 64


@dataclass(frozen=True, eq=False)
class Network:
    """Weights by name. What is known of a target, `kind`, is that of :func:`.kinds.kind_of`."""

    arrays: Mapping[str, NDArray[np.float32]]

    @cached_property
    def digest(self) -> str:
        """Which weights these are."""
        whole = b"".join(
            np.ascontiguousarray(self.arrays[k]).tobytes() for k in sorted(self.arrays)
        )
        return hashlib.sha256(whole).hexdigest()[:16]

    def prior(self, kind: NDArray[np.float32]) -> FloatArray:
        """(PARAMETERS + 1, 2) mean and deviation of the log-parameters, the noise's last."""
        found = self.arrays["prior"].astype(np.float64)
        found[:, 0] += kind @ self.arrays["prior_kind"]
        return found

    def columns(
        self, inputs: NDArray[np.float32], kind: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(pixels, LEARNT) learnt columns of the kernel's table."""
        a = self.arrays
        x = (inputs - a["mean"]) / a["spread"]
        np.clip(x, -6.0, 6.0, out=x)
        h = _silu(x @ a["w1"] + (kind @ a["kind1"] + a["b1"]))
        h = np.hstack([_silu(h @ a["w2"] + a["b2"]), x])
        out = h @ a["w3"] + (kind @ a["kind3"] + a["b3"])
        out[:, LINEAR + BENT :] = np.logaddexp(0.0, out[:, LINEAR + BENT :])
        return np.asarray(out, np.float32)

    def rows(self, inputs: Inputs, kind: NDArray[np.float32]) -> NDArray[np.float32]:
        """(pixels, COLUMNS) rows of the kernel's table."""
        pixel = np.arange(len(inputs.x))
        numbers = np.column_stack([inputs.grain, inputs.boundary, pixel, inputs.place])
        return np.hstack([self.columns(inputs.x, kind), numbers.astype(np.float32)])


def _silu(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(x / (np.float32(1.0) + np.exp(-x)), np.float32)


def expected_shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of a network of so many inputs."""
    return {
        "mean": (width,),
        "spread": (width,),
        "w1": (width, HIDDEN),
        "kind1": (KIND, HIDDEN),
        "b1": (HIDDEN,),
        "w2": (HIDDEN, HIDDEN),
        "b2": (HIDDEN,),
        "w3": (HIDDEN + width, LEARNT),
        "kind3": (KIND, LEARNT),
        "b3": (LEARNT,),
        "prior": (PARAMETERS + 1, 2),
        "prior_kind": (KIND, PARAMETERS + 1),
        "version": (),
    }


def check_network(arrays: Mapping[str, NDArray[Any]], where: str) -> Network:
    """The network of these arrays. DataError if they are not those of one."""
    again = "Reinstall, or train them anew: python -m grainscout.benchmarks.prior.train"
    version = int(arrays["version"]) if "version" in arrays else None
    if version != VERSION:
        raise DataError(
            f"the pretrained surrogate's weights in {where} must be of version {VERSION}; got "
            f"{version}. {again}"
        )
    width = arrays["mean"].size if "mean" in arrays else 0
    shapes = {name: a.shape for name, a in arrays.items()}
    if shapes != expected_shapes(width) or not all(np.isfinite(a).all() for a in arrays.values()):
        raise DataError(
            f"the pretrained surrogate's weights in {where} must be finite and of its network. "
            f"{again}"
        )
    return Network({name: a.astype(np.float32) for name, a in arrays.items()})


_FOLDER = files("grainscout.policies.models.pretrained") / "weights"


def knows_currents() -> bool:
    """Whether a network for height and current is installed."""
    return (_FOLDER / "current.npz").is_file()


@lru_cache(maxsize=2)
def shipped_network(*, current: bool) -> Network:
    """The shipped network for height, or for height and current. DataError if unusable."""
    place = _FOLDER / ("current.npz" if current else "height.npz")
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError) as error:
        raise DataError(f"the surrogate's weights must be readable at {place}: {error}") from error
    return check_network(arrays, str(place))
