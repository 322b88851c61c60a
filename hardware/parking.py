"""Parking that is tried twice, by one thread at a time, and says what a person must do."""

import threading
from collections.abc import Callable

from grainscout.hardware.protocol import Microscope
from grainscout.records import MicroscopeError


class Parking:
    """Parks a microscope. `write` logs a failure."""

    def __init__(self, microscope: Microscope, write: Callable[[str], None]) -> None:
        self._microscope, self._write = microscope, write
        self._lock = threading.Lock()

    def park(self) -> None:
        """Park. MicroscopeError, with what a person must do, if that fails twice."""
        with self._lock:  # a command that this stops parks, too, from its own thread
            try:
                self._microscope.park()
            except Exception as error:  # noqa: BLE001 - whatever it is, parking is tried again
                try:
                    self._write(f"{type(error).__name__}: {error}; once more")
                finally:  # a log that cannot be written stops no parking
                    self._again()

    def _again(self) -> None:
        try:
            self._microscope.park()
        except Exception as error:
            message = (
                f"PARKING FAILED ({error}): the tip may be in contact and under bias; "
                f"{self._microscope.capabilities.rescue}"
            )
            self._write(message)
            raise MicroscopeError(message) from error
