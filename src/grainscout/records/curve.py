"""One measured current-voltage curve."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from grainscout.records.arrays import BoolArray, FloatArray
from grainscout.records.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class IVCurve:
    """Voltage [V], current [A] and time [s] of a sweep, all of shape (n,), with saturation flags.

    saturated : (n,) bool; True where the amplifier was at its rail and the current is the rail.
    Raises DataError if the shapes differ or the curve has no sample.  NaN is allowed in the
    current (a sample that the instrument lost); descriptors flag it.
    """

    voltage: FloatArray
    current: FloatArray
    time: FloatArray
    saturated: BoolArray = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        voltage, current, time = (
            np.array(a, dtype=np.float64) for a in (self.voltage, self.current, self.time)
        )
        saturated = np.array(self.saturated, dtype=bool)
        if saturated.size == 0:
            saturated = np.zeros(voltage.shape, bool)
        shapes = [a.shape for a in (voltage, current, time, saturated)]
        if voltage.ndim != 1 or voltage.size == 0 or len(set(shapes)) != 1:
            raise DataError(
                "IVCurve voltage, current, time and saturated must be one-dimensional and of one "
                f"length; got shapes {shapes}"
            )
        for name, array in (
            ("voltage", voltage),
            ("current", current),
            ("time", time),
            ("saturated", saturated),
        ):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return int(self.voltage.size)
