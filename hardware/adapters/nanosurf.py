"""Nanosurf microscopes as movers, through the package ``nanosurf`` and Nanosurf Studio (Windows).

Written from the package's command tree and notebook, and tested against a fake Studio. No instrument was
used. Studio's scripts set no tip voltage: it must be 0 V, and the meter is the only source.
"""

from typing import Any

from grainscout.hardware.adapters.movers import MoverOptions, SavingMover
from grainscout.hardware.adapters.shared import merged_signature
from grainscout.records import ConfigError, MicroscopeError

_NEAR = 0.2  # of the setpoint


class Studio:
    """A measurement session of Studio. The feedback's value tells contact: at the setpoint, or not."""

    name = "Nanosurf Studio"
    rescue = "in Nanosurf Studio press Stop and Withdraw, and watch the approach stage"

    def __init__(self, level: int) -> None:
        try:
            from nanosurf.studio import Studio as Application  # type: ignore[import-not-found,unused-ignore]
            from nanosurf.studio import StudioScriptError
        except ImportError as error:
            raise ConfigError(
                "Nanosurf needs the package nanosurf: pip install -e '.[nanosurf]' in the checkout"
            ) from error
        self.errors: tuple[type[Exception], ...] = (StudioScriptError, OSError, AttributeError)
        try:
            self._tree: Any = Application().select_measurement_session(level=level).workflow
            self._tree.data.storage.gwy_backend_enabled = True
            _ = self._tree.scanner.offset_x  # absent without the option Scripting Plus
        except self.errors as error:
            raise MicroscopeError(
                "Nanosurf Studio must run with a measurement session and the option Scripting Plus "
                f"(option level); got {error!r}"
            ) from error
        self.still = 0.1 * abs(float(self._tree.z_control.setpoint))

    def close(self) -> None:
        """Leave Studio as it is."""

    def frame(self) -> tuple[float, float, float, float, float]:
        """Centre, size and rotation of the imaging frame."""
        imaging = self._tree.imaging
        x, y = imaging.frame_center_offset_x, imaging.frame_center_offset_y
        size = (imaging.scan_range_fast_axis, imaging.scan_range_slow_axis)
        return x, y, *size, imaging.rotation

    def image(self) -> None:
        """Start an image."""
        self._tree.imaging.start()

    def stop(self) -> None:
        """Stop the image."""
        self._tree.imaging.stop()

    def withdraw(self) -> None:
        """Withdraw by the approach stage."""
        self._tree.approach.withdraw()

    def land(self) -> None:
        """Approach. Returns when the tip is in contact."""
        self._tree.approach.approach()

    def rest(self) -> tuple[float, bool, bool]:
        """The feedback's value."""
        value, setpoint = self._tree.z_control.actual_feedback_value, self._tree.z_control.setpoint
        touches = abs(value - setpoint) <= _NEAR * abs(setpoint)
        return value, not touches, touches

    def move(self, x: float, y: float) -> None:
        """Move the scanner."""
        scanner = self._tree.scanner
        scanner.offset_x_target, scanner.offset_y_target = x, y
        scanner.move_to_target_offsets()

    def where(self) -> tuple[float, float]:
        """Position of the scanner [m]."""
        return self._tree.scanner.offset_x, self._tree.scanner.offset_y


def open_nanosurf(*, level: int = 5, **options: Any) -> SavingMover:
    """Connect to the Studio on this PC, at this scripting level. Other options as in `MoverOptions`."""
    return SavingMover(lambda: Studio(level), MoverOptions(**options), ".gwy")


vars(open_nanosurf)["__signature__"] = merged_signature(MoverOptions, {"level": 5})
