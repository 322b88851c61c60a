"""A Keithley 2400 through pymeasure."""

from __future__ import annotations

import math
from typing import Any

from grainscout.hardware.adapters.visa.source_meter import OVERFLOW, SourceMeter
from grainscout.records import MicroscopeError

_OFLO, _COMPLIANCE, _RANGE_COMPLIANCE = 1 << 0, 1 << 3, 1 << 14  # bits of a reading's status word


class Keithley2400(SourceMeter):
    """A source-meter of the 2400 series."""

    _model = "MODEL 24"

    @staticmethod
    def _driver() -> Any:
        from pymeasure.instruments.keithley import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            Keithley2400 as Driver,
        )

        return Driver

    def _read(self) -> tuple[float, bool]:
        try:
            values = [float(v) for v in self._meter.ask(":READ?").split(",")]
        except self._errors as error:
            raise MicroscopeError(f"the source-meter must give a reading; got {error}") from error
        if len(values) != 5 or not math.isfinite(values[4]):
            raise MicroscopeError(
                f"a reading must be voltage, current, resistance, time, status; got {values}"
            )
        current, status = values[1], int(values[4])
        if abs(current) >= OVERFLOW or status & _OFLO:
            # Over the range, so beyond what may flow: the compliance, with the sign of the code.
            return math.copysign(self._compliance, current), True
        return current, bool(status & (_COMPLIANCE | _RANGE_COMPLIANCE))

    def _set(self, **settings: object) -> None:
        for name, value in settings.items():
            try:
                setattr(self._meter, name, value)
            except self._errors as error:
                raise MicroscopeError(
                    f"the source-meter must take {name} = {value}; {error}"
                ) from error
