"""AEcroscopy: an Asylum microscope through ``aecroscopywave`` and COM.

Needs Windows and Python 3.12 or newer. ``PyCypher`` sends Igor's commands. Its scan waits without end
and sleeps for 22 s, so the image is started with its button here and waited for by its file.
"""

from typing import Any

from grainscout.hardware.adapters.asylum.microscope import AsylumMicroscope, Igor
from grainscout.hardware.adapters.asylum.paper import asylum_factory
from grainscout.records import ConfigError, MicroscopeError

_WAVE = "GrainscoutReadout"


class CypherIgor(Igor):
    """Igor through ``PyCypher``."""

    loops = ("$outputXloop.Setpoint", "$outputYloop.Setpoint")

    def __init__(self) -> None:
        try:
            import pythoncom  # type: ignore[import-not-found,import-untyped,unused-ignore]
            from aecroscopywave.interfaces.Cypher import PyCypher  # type: ignore[import-not-found,unused-ignore]
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

    def read(self, names: tuple[str, str]) -> tuple[float, float]:
        """Return two values of the controller [V], through a wave of our own."""
        values = ", ".join(f'td_ReadValue("{name}")' for name in names)
        self.execute(f"Make/O/D/N=2 root:{_WAVE} = {{{values}}}")
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


@asylum_factory()
def open_aecroscopy(**options: Any) -> AsylumMicroscope:
    """Connect to the Igor that runs on this PC. Options as in `AsylumOptions`."""
    return AsylumMicroscope(CypherIgor, **options)
