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

    def clear(self):
        self.__dict__ |= vars(Arrived())

    def sweep(self, voltage, step_s, place):
        self.voltage += list(voltage)
        self.step_s = float(step_s)
        self.places.append(place)


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


def counted(*calls):
    """Make the n-th call of all these (object, method, error) fail: fail_at and calls of a rig."""
    state = {"at": -1, "count": 0}

    def wrap(call, error):
        def counted(*args, **kwargs):
            state["count"] += 1
            if state["count"] - 1 == state["at"]:
                raise error()
            return call(*args, **kwargs)

        return counted

    for target, name, error in calls:
        setattr(target, name, wrap(getattr(target, name), error))
    return {"fail_at": lambda n: state.update(at=n, count=0), "calls": lambda: state["count"]}
