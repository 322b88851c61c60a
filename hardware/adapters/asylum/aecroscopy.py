"""AEcroscopy: an Asylum microscope through ``aecroscopywave`` and COM.

Needs Windows and Python 3.12 or newer. ``PyCypher`` sends Igor's commands. Its scan waits without end
and sleeps for 22 s, so the image is started with its button here and waited for by its file.
"""

from __future__ import annotations

from typing import Any

from grainscout.hardware.adapters.asylum.microscope import AsylumMicroscope
from grainscout.hardware.adapters.asylum.paper import asylum_factory
from grainscout.records import ConfigError, MicroscopeError

_WAVE = "GrainscoutReadout"


class CypherIgor:
    """Igor through ``PyCypher``. Made and used in one thread, as COM wants it."""

    def __init__(self) -> None:
        try:
            import pythoncom  # type: ignore[import-not-found,import-untyped,unused-ignore]
            from aecroscopywave.interfaces.Cypher import (  # type: ignore[import-not-found,unused-ignore]
                PyCypher,
            )
        except ImportError as error:
            raise ConfigError(
                "AEcroscopy needs Windows, Python 3.12 or newer and the package aecroscopywave: "
                f"pip install -e '.[aecroscopy]' in the checkout; {error}"
            ) from error
        self.errors: tuple[type[Exception], ...] = (pythoncom.com_error, OSError, AttributeError)
        try:
            self._cypher: Any = PyCypher()
        except pythoncom.com_error as error:
            raise MicroscopeError(
                f"Igor must be running with the Asylum software and COM; got {error!r}"
            ) from error

    def press(self, control: str, panel: str, value: float = 0.0) -> None:
        """Press a button or set a number of a panel."""
        self._cypher.ARExecuteControl(control, panel, value)

    def execute(self, command: str) -> None:
        """Run one line of Igor."""
        self._cypher.Execute(command)

    def setpoints(self) -> tuple[float, float]:
        """Return the setpoints of the X and Y loops [V]."""
        return self._read("$outputXloop.Setpoint", "$outputYloop.Setpoint")

    def sensors(self) -> tuple[float, float]:
        """Return the X and Y sensors [V]."""
        return self._read("XSensor", "YSensor")

    def heights(self) -> tuple[float, float]:
        """Return the deflection and the Z sensor [V]."""
        return self._read("Deflection", "ZSensor")

    def _read(self, x: str, y: str) -> tuple[float, float]:
        """Read two values of the controller, through a wave of our own."""
        self.execute(f'Make/O/D/N=2 root:{_WAVE} = {{td_ReadValue("{x}"), td_ReadValue("{y}")}}')
        wave = self._cypher.DataFolder("root:").Wave(_WAVE)
        return float(wave.GetNumericWavePointValue(0)), float(wave.GetNumericWavePointValue(1))

    def ramp(self, start: tuple[float, float], end: tuple[float, float], seconds: float) -> None:
        """Send one ramp to the controller."""
        self._cypher.move_tip(end, "voltage", seconds)

    def image(self) -> None:
        """Start one image downwards."""
        self._cypher.ARExecuteControl("LastScanPopup_0", "MasterPanel", 0, "One Frame Mode")
        self.press("DownScan_0", "MasterPanel")

    def sweep(self) -> None:
        """Press the DoIV button."""
        self._cypher.doIV()

    def engage(self) -> None:
        """Land."""
        self._cypher.engage()

    def withdraw(self) -> None:
        """Withdraw. Stops a scan, too."""
        self._cypher.withdraw()


@asylum_factory()
def open_aecroscopy(**options: Any) -> AsylumMicroscope:
    """Connect to the Igor that runs on this PC. Options as in `AsylumOptions`."""
    return AsylumMicroscope(CypherIgor, **options)
