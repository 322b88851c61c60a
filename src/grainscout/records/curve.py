"""One measured current-voltage curve, and the verdict on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from grainscout.records.arrays import BoolArray, FloatArray, freeze
from grainscout.records.drawn import Axes, Drawn, draw_curves
from grainscout.records.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Verdict on one curve, from what the curve and the microscope's signals show.

    Parameters
    ----------
    usable : bool
        False if the curve must not be learned from or scored.
    reasons : tuple of str
        Names of what was seen, such as ``"contact lost"``; some leave a curve usable (``"at rail"``).
    score : float
        1 where nothing was seen, 0.5 at the threshold of a test, towards 0 beyond it.
    version : int
        Version of the tests; 0 if the curve was not judged.
    """

    usable: bool = True
    reasons: tuple[str, ...] = ()
    score: float = 1.0
    version: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class IVCurve(Drawn):
    """Samples of one sweep.

    Attributes
    ----------
    voltage, current, time : (n,) array of float
        Voltage [V], current [A] and time [s]. A current that the instrument lost is NaN.
    saturated : (n,) array of bool
        True where the amplifier was at its rail and the current is the rail.
    signals : mapping of str to (n,) array of float
        Notes of the microscope at each sample, such as ``"deflection"`` (of the cantilever, 1 at
        the setpoint, 0 when free).

    Raises
    ------
    DataError
        If the shapes differ or the curve has no sample.
    """

    voltage: FloatArray
    current: FloatArray
    time: FloatArray
    saturated: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    signals: Mapping[str, FloatArray] = field(default_factory=dict)

    def __repr__(self) -> str:
        low, high = float(self.voltage.min()), float(self.voltage.max())
        known = self.current[np.isfinite(self.current)]
        largest = f"up to {np.abs(known).max():.3g} A" if known.size else "without a current"
        railed = f", {self.saturated.sum()} at the rail" if self.saturated.any() else ""
        return f"IVCurve of {len(self)} samples, {low:g} to {high:g} V, {largest}{railed}"

    def draw(self, axes: Axes | None = None) -> Axes:
        """Draw the current over the voltage, and return the axes."""
        return draw_curves(axes, self.voltage, self.current[None])

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
        freeze(self, voltage=voltage, current=current, time=time, saturated=saturated)
        signals = {name: np.array(a, dtype=np.float64) for name, a in self.signals.items()}
        for name, array in signals.items():
            if array.shape != voltage.shape:
                raise DataError(
                    f"IVCurve signal {name!r} must have one value a sample, shape {voltage.shape}; "
                    f"got {array.shape}"
                )
            array.setflags(write=False)
        object.__setattr__(self, "signals", signals)

    def __len__(self) -> int:
        return int(self.voltage.size)
