"""An Asylum Research microscope (Cypher, Jupiter, MFP-3D) through its Igor.

Two packages send commands to it: ``aecroscopywave`` through COM and ``aespm`` through command files.
Neither has limits, time-outs or results: the software saves images and curves as .ibw files, which
are read back. Written from the packages' sources and tested with a fake Igor behind the real
packages. No instrument was used.

Igor counts rows from the bottom and pixels from edge to edge: N pixels lie ScanSize / (N - 1) apart.
Its Y points up. Here row 0 is on top and y points down, so y = -Y, in this file and nowhere else.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats import Traces
from grainscout.hardware.adapters.asylum.paper import CYCLES, AsylumOptions, require_applicable
from grainscout.hardware.adapters.lock import InstrumentLock
from grainscout.hardware.adapters.saved import SaveFolder
from grainscout.hardware.adapters.shared import (
    RealMicroscope,
    as_applied,
    as_at_sample,
    from_centre,
    known_channels,
    refuse_stopped,
    wait_still,
)
from grainscout.hardware.adapters.time_limit import Worker
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, MicroscopeError
from grainscout.records.scan import Scan, Site
from grainscout.records.waveform import Waveform

_BIASES = ("TipVoltageSetVar_0", "SurfaceVoltageSetVar_0")
_SENSORS = ("XSensor", "YSensor")


class Igor(ABC):
    """Igor behind a package; `errors` are what it raises if it cannot be reached. One scale of volts."""

    errors: tuple[type[Exception], ...]
    loops = ("PIDSLoop.0.Setpoint", "PIDSLoop.1.Setpoint")  #: Setpoints of the X and Y loops

    @abstractmethod
    def press(self, control: str, panel: str, value: float = 0.0) -> None:
        """Press a button or set a number of a panel."""

    @abstractmethod
    def execute(self, command: str) -> None:
        """Run one line of Igor."""

    @abstractmethod
    def read(self, names: tuple[str, str]) -> tuple[float, float]:
        """Return two values of the controller [V]."""

    @abstractmethod
    def ramp(self, start: tuple[float, float], end: tuple[float, float], seconds: float) -> None:
        """Move evenly from `start` to `end` [V] and return when there."""

    @abstractmethod
    def image(self) -> None:
        """Start one image downwards."""

    @abstractmethod
    def sweep(self) -> None:
        """Start the DoIV sweep."""

    def engage(self) -> None:
        """Land."""
        self.execute('SimpleEngageMe("SimpleEngageButton")')

    def withdraw(self) -> None:
        """Withdraw. Stops a scan, too."""
        self.execute('DoScanFunc("StopEngageButton")')


class AsylumMicroscope(RealMicroscope):
    """Scan, move, DoIV and park; `igor` connects, in the thread that uses it. Options: `AsylumOptions`."""

    def __init__(self, igor: Callable[[], Igor], folder: str | Path, **options: Any) -> None:
        self._how = AsylumOptions(folder=str(folder), **options)
        self.capabilities, self.cost = self._how.capabilities, self._how.cost
        super().__init__()
        self._free = self._pressed = math.nan  # deflection [V]
        self._landed, self._landings = True, 0
        self._files = SaveFolder(folder)
        self._lock = InstrumentLock(f"the Asylum software that saves in {Path(folder).resolve()}")
        self._lock.take()
        self._worker = Worker("Igor")
        try:
            self._igor: Igor = self._worker.call(igor, self._how.timeout_s)
        except (ConfigError, MicroscopeError):
            self._lock.give()
            raise
        self._volts: Callable[[float, float], tuple[float, float]] = lambda x, y: (x, y)

    def settings(self) -> PackedState:
        """The wiring as stated, and deflections as measured. Images carry the software's own note."""
        return {"bias_to": self._how.bias_to, "free_V": self._free, "pressed_V": self._pressed}

    def contact(self) -> bool:
        """Tell if the tip is not confirmed to be up."""
        return self._landed

    def landings(self) -> int:
        """Number of confirmed landings."""
        return self._landings

    def image_bias(self, volts: float) -> None:
        """Set the bias of later images [V], instead of scan_bias_V."""
        self._how = replace(self._how, scan_bias_V=volts)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take one image and read the saved file. DataError for an unknown channel."""
        known_channels(channels, self.capabilities.channels)
        self._files.mark()
        self._bias(self._how.scan_bias_V)  # whatever an operator left
        self._landed = True
        self._do(self._igor.image)
        image = self._files.image(self._how.scan_timeout_s)
        self.park()
        missing = [c for c in channels if c not in image.channels]
        if missing:
            raise MicroscopeError(
                f"the saved image must have {', '.join(missing)}; it has {', '.join(image.channels)}. "
                "Select it for saving in the Master Panel"
            )
        refuse_stopped(image.channels, channels)
        self._frame, self._volts = _placed(image, channels)
        return self._frame

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go, land, sweep, read the saved curve. MicroscopeError if anything differs from the command."""
        waveform = as_applied(waveform, self._how.bias_to)
        require_applicable(waveform, self._how.shape)
        self.go(site)
        turn = len(waveform) // (4 if self._how.shape == "bipolar" else 2)
        peak = float(waveform.voltage[turn])
        self._press("ARDoIVAmpSetVar_1", "ARDoIVPanel", peak)
        self._press(
            "ARDoIVFrequencySetVar_1", "ARDoIVPanel", CYCLES[self._how.shape] / waveform.duration
        )
        self._files.mark()
        self._do(self._igor.sweep)
        traces = self._files.curve(2 * waveform.duration + self._how.timeout_s)
        self._bias(0.0)
        return as_at_sample(fitted(traces, waveform, self._how.rail_A), self._how.bias_to)

    def go(self, site: Site) -> None:
        """Withdraw at 0 V, move, check the arrival, land. MicroscopeError if any of it is not confirmed."""
        frame, place = self._place(site)
        self._bias(0.0)
        self._withdraw()
        end = self._volts(*place)
        start = self._do(lambda: self._igor.read(self._igor.loops))
        # Volts of one pixel along x and y give the length of the way.
        pixel = math.dist(self._volts(0.0, 0.0), self._volts(min(frame.pixel_size), 0.0))
        way = math.dist(start, end) / pixel * min(frame.pixel_size)
        seconds = max(0.05, way / self._how.speed_m_per_s)
        self._do(lambda: self._igor.ramp(start, end, seconds), 20 * seconds + self._how.timeout_s)
        self._arrive(site, end, pixel)
        self._landed = True
        self._do(self._igor.engage)
        pressed = self._still("land")
        if not abs(pressed - self._free) >= self._how.contact_V:
            raise MicroscopeError(
                f"the tip must be in contact after landing; its deflection is {pressed:.3g} V, of the "
                f"free cantilever {self._free:.3g} V (contact_V = {self._how.contact_V:g}): in the air"
            )
        self._pressed = pressed
        self._landings += 1

    def _withdraw(self) -> None:
        """Withdraw and see that the tip is up."""
        self._do(self._igor.withdraw)
        free = self._still("withdraw")
        contact = self._how.contact_V
        # Parked during the first landing: what contact reads is not known yet, what free reads is.
        first = not math.isfinite(self._pressed)
        down = abs(free - self._free) >= contact if first else abs(free - self._pressed) < contact
        if self._landed and down:
            raise MicroscopeError(
                f"the tip must be off the sample; its deflection is still {free:.3g} V, as in contact. Nothing "
                "was moved"
            )
        self._free, self._landed = free, False

    def _still(self, what: str) -> float:
        """Wait until deflection and Z sensor keep still, and return the deflection [V]."""
        how = self._how
        time.sleep(how.settle_s)
        must = f"{what} within {how.approach_s:g} s (approach_s), with deflection and Z sensor [V] still"
        return wait_still(
            lambda: self._do(lambda: self._igor.read(("Deflection", "ZSensor"))),
            must,
            stable_s=how.stable_s,
            most=how.contact_V / 2,
            timeout_s=how.approach_s,
        )[0]

    def _arrive(self, site: Site, end: tuple[float, float], pixel: float) -> None:
        """Wait for the sensors: an accepted setpoint does not show where the scanner is."""
        deadline = time.monotonic() + self._how.arrival_s
        while True:
            off = math.dist(self._do(lambda: self._igor.read(_SENSORS)), end) / pixel
            if off <= 0.5:
                return
            if not time.monotonic() < deadline:
                raise MicroscopeError(
                    f"the tip must arrive within half a pixel of site {tuple(site)} in "
                    f"{self._how.arrival_s:g} s; its sensors are {off:.3g} pixels off. Is the closed loop on?"
                )
            time.sleep(0.02)

    def park(self) -> None:
        """Stop the scan, set 0 V and withdraw, each even if another fails."""
        try:
            self._bias(0.0)
        finally:
            self._withdraw()

    def close(self) -> None:
        """Let others use the instrument. Park before."""
        self._lock.give()

    def _bias(self, volts: float) -> None:
        for control in _BIASES:
            self._press(control, "NapPanel", volts)

    def _press(self, control: str, panel: str, value: float) -> None:
        self._do(lambda: self._igor.press(control, panel, value))

    def _do(self, call: Callable[[], Any], timeout: float | None = None) -> Any:
        try:
            return self._worker.call(call, self._how.timeout_s if timeout is None else timeout)
        except self._igor.errors as error:
            raise MicroscopeError(f"Igor must carry out the command; got {error!r}") from error


def _placed(
    image: Scan, channels: Sequence[str]
) -> tuple[Scan, Callable[[float, float], tuple[float, float]]]:
    """Return the image in the instrument's frame, and (x, y) [m] -> loop voltages [V]."""
    note: Mapping[str, str] = image.metadata["note"]

    def number(key: str) -> float:
        try:
            value = float(note[key])
        except (KeyError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise MicroscopeError(
                f"the image's note must have {key}; got {note.get(key, 'nothing')}"
            )
        return value

    rows, columns = image.shape
    size, degrees = number("ScanSize"), number("ScanAngle")  # clockwise, as it is here
    width, height = size / number("FastRatio"), size / number("SlowRatio")
    step = (height / max(rows - 1, 1), width / max(columns - 1, 1))  # from edge to edge
    if any(abs(a - b) > 0.01 * b for a, b in zip(image.pixel_size, step, strict=True)):
        raise MicroscopeError(
            f"the image's steps must be ScanSize / (N - 1) = {step} m; the file says "
            f"{image.pixel_size}. It is an aborted or changed image"
        )
    sense = (number("XLVDTSens"), number("YLVDTSens"))
    zero = (number("XLVDTOffset"), number("YLVDTOffset"))
    if 0.0 in sense:
        raise MicroscopeError("the image's XLVDTSens and YLVDTSens must not be 0 m/V")
    frame = (number("XOffset"), number("YOffset"), step[1] * columns, step[0] * rows, degrees)
    images = {c: image.channels[c] for c in channels}
    units = {c: u for c, u in image.units.items() if c in channels}
    about = {"source": "Asylum", "frame": "x = X, y = -Y of the instrument"}
    placed = from_centre(images, units, frame, {**image.metadata, **about})
    return placed, lambda x, y: (x / sense[0] + zero[0], -y / sense[1] + zero[1])


def fitted(traces: Traces, waveform: Waveform, rail: float) -> IVCurve:
    """Pick the recorded samples nearest in time to the waveform's. None is invented.

    MicroscopeError if bias or current is missing, the sweep has another length or fewer samples, or its bias
    is more than 1 % of the peak off. It records faster than asked for, with NaN around the sweep.
    """
    bias = next((v for n, v in traces.channels.items() if n.startswith(("Bias", "Volt"))), None)
    current = next((v for n, v in traces.channels.items() if traces.units.get(n) == "A"), None)
    if bias is None or current is None:
        raise MicroscopeError(
            f"the saved curve must have a Bias and a Current; got {', '.join(traces.channels)}. Select "
            "them for saving in the DoIV panel"
        )
    during = np.flatnonzero(np.isfinite(bias))
    if during.size < len(waveform) or (np.diff(during) != 1).any():
        raise MicroscopeError(
            f"the saved sweep must have at least {len(waveform)} samples in one piece; got "
            f"{during.size} of {bias.size} with a bias. Raise the sampling rate"
        )
    clock = traces.time[during] - traces.time[during[0]]
    step = clock[1] - clock[0]
    wanted = waveform.time - waveform.time[0]
    if abs(clock[-1] - waveform.duration) > 0.02 * waveform.duration + step:
        raise MicroscopeError(
            f"the saved sweep must take {waveform.duration:g} s; it took {clock[-1]:g} s"
        )
    picked = np.clip(np.rint(wanted / step).astype(np.int64), 0, during.size - 1)
    volts, amperes = bias[during][picked], current[during][picked]
    off = float(np.abs(volts - waveform.voltage).max())
    allowed = 0.01 * waveform.peak + waveform.slew * step
    if (np.diff(picked) < 1).any() or not off <= allowed:
        raise MicroscopeError(
            f"the saved bias must follow the waveform within {allowed:.3g} V; it was {off:.3g} V off. "
            "Check function, cycles and offset in the DoIV panel"
        )
    return IVCurve(
        voltage=volts,
        current=amperes,
        time=clock[picked],
        saturated=np.abs(amperes) >= 0.999 * rail,
    )
