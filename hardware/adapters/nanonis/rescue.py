"""Parking a Nanonis controller from another process. Named by `NanonisMicroscope.rescues`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from grainscout.hardware.adapters.nanonis.connection import NanonisConnection
from grainscout.hardware.adapters.nanonis.tip import Approach, park_through


def connect(
    *, host: str, port: int, timeout_s: float, withdraw_timeout_s: float
) -> Callable[[], None]:
    """Connect now, and return what parks."""
    connection = NanonisConnection(host, port, timeout=timeout_s)
    connection.version()
    approach = Approach(
        settle_s=0.0,
        stable_s=0.1,
        stable_m=1e-9,
        land_timeout_s=1.0,
        withdraw_timeout_s=withdraw_timeout_s,
    )
    return partial(park_through, connection, approach)
