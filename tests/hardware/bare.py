"""A microscope made of single steps, for the tests of the guard."""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from grainscout.hardware import Capabilities, SimulatedClock
from grainscout.records import CostModel, IVCurve, MicroscopeError, Scan, Site, Waveform

SCAN = Scan(
    channels={"height": np.arange(20.0).reshape(4, 5) * 1e-9},
    pixel_size=(2e-8, 1e-8),
    origin=(1e-6, 2e-6),
)


class BareMicroscope:
    """A microscope made of single steps, each of which may fail; it records what it was made to do.

    It has no state and no wear, and it cannot limit its current.
    """

    def __init__(self, fail_at: int = -1, error: BaseException | None = None) -> None:
        self.bias, self.engaged = 0.0, False
        self.steps: list[str] = []
        self.fail_at, self.error = fail_at, error
        self.clock = SimulatedClock()
        self.capabilities = Capabilities(light=True)
        self.cost = CostModel(sweep=0.5)
        self.current = 1e-9

    def step(self, name: str) -> None:
        if len(self.steps) == self.fail_at and self.error is not None:
            self.fail_at = -1
            raise self.error
        self.steps.append(name)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        self.step("engage for the scan")
        self.engaged = True
        self.step("scan")
        return SCAN

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        self.step("move")
        self.engaged = True
        self.step("engage")
        for voltage in waveform.voltage[:: len(waveform) // 3]:
            self.bias = float(voltage)
            self.step("apply")
        self.clock.spend(waveform.duration)
        current = np.full(len(waveform), self.current)
        return IVCurve(voltage=waveform.voltage, current=current, time=waveform.time)

    def light(self, suns: float) -> None:
        self.step("light")

    def park(self) -> None:
        self.bias, self.engaged = 0.0, False


TRIANGLE = Waveform.triangle(1.5, 51, 1.0)


def beside(act: Callable[[], object]) -> tuple[threading.Thread, list[str]]:
    """Do something in another thread; the thread, and the text of its MicroscopeError."""
    failed: list[str] = []

    def work() -> None:
        try:
            act()
        except MicroscopeError as error:
            failed.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    return thread, failed
