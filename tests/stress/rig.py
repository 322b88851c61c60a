"""What a rig is: an adapter with its fake controller behind it, and what arrived there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grainscout.records import Scan, Site

SHAPE = (7, 6)
HEIGHT = (np.arange(42.0).reshape(SHAPE) * 1e-10).astype(np.float32).astype(float)
PEAK = np.full(SHAPE, 1e-9)
#: Half a step of a 20-bit converter over +-10 V.
DAC = 20.0 / 2**21


@dataclass
class Arrived:
    """What reached a controller since it was last cleared; times and places where it was told them."""

    voltage: list[float] = field(default_factory=list)
    step_s: float | None = None  # between samples
    slew: float | None = None  # V/s, where the controller is told a rate
    places: list[tuple[float, float]] = field(default_factory=list)  # m, in the scan's frame
    compliance: float | None = None
    light: float | None = None

    def clear(self) -> None:
        """Forget."""
        self.__dict__ |= vars(Arrived())


@dataclass(kw_only=True)
class Rig:
    """An adapter on its fake.

    arrived, parked, clear : look at the fake;  route : how a site comes to the guard;
    fail_at : let the n-th call from now on fail, -1 for none;  calls : how many there were.
    """

    name: str
    microscope: Any
    scan: Scan
    arrived: Callable[[], Arrived]
    parked: Callable[[], bool]
    clear: Callable[[], None]
    route: Callable[[Site], Site] = lambda site: site
    fail_at: Callable[[int], None] = lambda _: None
    calls: Callable[[], int] = lambda: 0
    light: bool = False
    tolerance: float = DAC
    waveforms: str = "any"  # "any", "triangle", "bipolar" or "recorded"


def counted(target: Any, names: list[str], error: Callable[[], BaseException]) -> tuple[Any, Any]:
    """Make the n-th call of these methods of an object fail; (fail_at, calls)."""
    state = {"at": -1, "count": 0}

    def wrap(call: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            state["count"] += 1
            if state["count"] - 1 == state["at"]:
                raise error()
            return call(*args, **kwargs)

        return counted

    for name in names:
        setattr(target, name, wrap(getattr(target, name)))

    def fail_at(n: int) -> None:
        state.update(at=n, count=0)

    return fail_at, lambda: state["count"]
