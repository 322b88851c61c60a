"""A Keithley 2600 in its script language.

pymeasure's own class writes numbers with six decimals, so that a compliance below 0.5 uA would become
0, and clips what it takes to be out of range. The lines are therefore written here.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from grainscout.hardware.adapters.visa.source_meter import OVERFLOW, SourceMeter
from grainscout.records import MicroscopeError

_LINES = {
    "source_mode": "smua.source.func=1",  # of volts
    "current_nplc": "smua.measure.nplc={:.6g}",
    "compliance_current": "smua.source.limiti={:.9e}",
    "source_voltage": "smua.source.levelv={:.9e}",
    "source_enabled": "smua.source.output={:d}",
}


class Keithley2600(SourceMeter):
    """Channel A of a source-meter of the 2600 series (2601 to 2636)."""

    _model = "MODEL 26"

    @staticmethod
    def _driver() -> Any:
        from pymeasure.instruments import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            Instrument,
        )

        return partial(Instrument, name="Keithley 2600", includeSCPI=False)

    def _read(self) -> tuple[float, bool]:
        try:
            answer = self._meter.ask("print(smua.measure.i(), smua.source.compliance)")
            number, flag = answer.split()
            current = float(number)
        except self._errors as error:
            raise MicroscopeError(f"the source-meter must give a reading; got {error}") from error
        if flag not in ("true", "false") or not math.isfinite(current):
            raise MicroscopeError(f"a reading must be a current and true or false; got {answer!r}")
        if abs(current) >= OVERFLOW:
            return math.copysign(self._compliance, current), True
        return current, flag == "true"

    def _set(self, **settings: object) -> None:
        for name, value in settings.items():
            try:
                self._meter.write(_LINES[name].format(value))
            except self._errors as error:
                raise MicroscopeError(
                    f"the source-meter must take {name} = {value}; {error}"
                ) from error
