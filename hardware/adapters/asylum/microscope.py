"""An Asylum Research microscope (Cypher, Jupiter, MFP-3D) through its Igor.

Two packages send commands to it: ``aecroscopywave`` through COM and ``aespm`` through command files.
Neither has limits, time-outs or results: the software saves images and curves as .ibw files, which
are read back. Written from the packages' sources and tested with a fake Igor behind the real
packages. No instrument was used.

Igor counts rows from the bottom and pixels from edge to edge: N pixels lie ScanSize / (N - 1) apart.
Its Y points up. Here row 0 is on top and y points down, so y = -Y, in this file and nowhere else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from grainscout.hardware.adapters.asylum.files import SaveFolder, fitted
from grainscout.hardware.adapters.shared import RealMicroscope, known_channels, positive
from grainscout.hardware.adapters.time_limit import Worker
from grainscout.hardware.protocol import Capabilities
from grainscout.records import (
    ConfigError,
    CostModel,
    IVCurve,
    MicroscopeError,
    Scan,
    Site,
    Waveform,
)

_BIASES = ("TipVoltageSetVar_0", "SurfaceVoltageSetVar_0")
#: Shape of the DoIV panel's function -> cycles of it in one sweep of ours.
_CYCLES = {"bipolar": 1.0, "triangle": 0.5}


class Igor(Protocol):
    """Commands that a package must be able to send, in the microscope's own thread.

    `errors` are the exceptions that it raises when Igor cannot be reached.
    """

    errors: tuple[type[Exception], ...]

    def press(self, control: str, panel: str, value: float = 0.0) -> None:
        """Press a button or set a number of a panel."""

    def execute(self, command: str) -> None:
        """Run one line of Igor."""

    def setpoints(self) -> tuple[float, float]:
        """Return the setpoints of the X and Y loops [V]."""

    def sensors(self) -> tuple[float, float]:
        """Return the X and Y sensors [V], on the scale of the setpoints."""

    def ramp(self, start: tuple[float, float], end: tuple[float, float], seconds: float) -> None:
        """Move evenly from `start` to `end` [V] and return when there."""

    def image(self) -> None:
        """Start one image downwards."""

    def sweep(self) -> None:
        """Start the DoIV sweep."""

    def engage(self) -> None:
        """Land."""

    def withdraw(self) -> None:
        """Withdraw."""


class AsylumMicroscope(RealMicroscope):
    """Scan, move, DoIV and park with an Asylum microscope.

    Parameters
    ----------
    igor : callable
        Makes the connection, in the thread that will use it.
    folder : str or Path
        Where the software saves images and curves. Saving must be on for both.
    shape : {"bipolar", "triangle"}
        Function chosen by hand in the DoIV panel: (0, +, -, 0) or (0, +, 0). Amplitude and frequency
        are set from here, and every saved bias is compared with the waveform.
    rail_A : float
        Full scale of the current amplifier [A].
    settle_s : float
        Wait after withdrawing and after landing [s].
    speed_m_per_s : float
        Speed of moves [m/s].
    arrival_s : float
        Longest wait for the sensors after a move [s].
    timeout_s, scan_timeout_s : float
        Time-out of one command and of one image [s].
    """

    def __init__(
        self,
        igor: Callable[[], Igor],
        folder: str | Path,
        *,
        shape: Literal["bipolar", "triangle"] = "bipolar",
        rail_A: float = 20e-9,
        settle_s: float = 0.2,
        speed_m_per_s: float = 1e-6,
        arrival_s: float = 2.0,
        timeout_s: float = 10.0,
        scan_timeout_s: float = 3600.0,
    ) -> None:
        positive(
            rail_A=rail_A, speed_m_per_s=speed_m_per_s, arrival_s=arrival_s, timeout_s=timeout_s
        )
        super().__init__()
        if shape not in _CYCLES:
            raise ConfigError(f"shape must be one of {', '.join(_CYCLES)}; got {shape!r}")
        self._shape, self._rail, self._settle = shape, rail_A, settle_s
        self._speed, self._arrival = speed_m_per_s, arrival_s
        self._timeout, self._scan_timeout = timeout_s, scan_timeout_s
        self._files = SaveFolder(folder)
        self._worker = Worker("Igor")
        self._igor: Igor = self._worker.call(igor, timeout_s)
        self._volts: Callable[[float, float], tuple[float, float]] = lambda x, y: (x, y)

    @property
    def capabilities(self) -> Capabilities:
        """Height and current images. Any site. No light."""
        return Capabilities(channels=("height", "current"), simulated=False)

    @property
    def cost(self) -> CostModel:
        """Travel and settling as configured. 3 s for landing, saving and withdrawal."""
        return CostModel(speed=self._speed, settle=2 * self._settle, overhead=3.0)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take one image and read the saved file. DataError for an unknown channel."""
        known_channels(channels, self.capabilities.channels)
        self._files.mark()
        self._do(self._igor.image)
        image = self._files.image(self._scan_timeout)
        self.park()
        missing = [c for c in channels if c not in image.channels]
        if missing:
            raise MicroscopeError(
                f"the saved image must have {', '.join(missing)}; it has {', '.join(image.channels)}. "
                "Select it for saving in the Master Panel"
            )
        self._frame, self._volts = _placed(image, channels)
        return self._frame

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there, land, sweep and read the saved curve.

        MicroscopeError if anything differs from the command.
        """
        if not _same(waveform, self._shape):
            raise MicroscopeError(
                f"the DoIV panel applies {self._shape} sweeps of equal steps from 0 V; got "
                f"{waveform.kind} of {len(waveform)} samples. Choose the function there and say so "
                "in the option shape"
            )
        self.go(site)
        turn = len(waveform) // (4 if self._shape == "bipolar" else 2)
        peak = float(waveform.voltage[turn])
        self._press("ARDoIVAmpSetVar_1", "ARDoIVPanel", peak)
        self._press(
            "ARDoIVFrequencySetVar_1", "ARDoIVPanel", _CYCLES[self._shape] / waveform.duration
        )
        self._files.mark()
        self._do(self._igor.sweep)
        traces = self._files.curve(2 * waveform.duration + self._timeout)
        self._zero()
        return fitted(traces, waveform, self._rail)

    def go(self, site: Site) -> None:
        """Withdraw at 0 V, move, check the arrival, and land.

        MicroscopeError if there is no scan yet, the site is off it, or the tip is elsewhere.
        """
        frame, place = self._place(site)
        self._zero()
        self._do(self._igor.withdraw)
        time.sleep(self._settle)  # the command comes back before the tip is up
        end = self._volts(*place)
        start = self._do(self._igor.setpoints)
        # Volts of one pixel along x and y give the length of the way.
        pixel = math.dist(self._volts(0.0, 0.0), self._volts(min(frame.pixel_size), 0.0))
        way = math.dist(start, end) / pixel * min(frame.pixel_size)
        seconds = max(0.05, way / self._speed)
        self._do(lambda: self._igor.ramp(start, end, seconds), 20 * seconds + self._timeout)
        self._arrive(site, end, pixel)
        self._do(self._igor.engage)
        time.sleep(self._settle)

    def _arrive(self, site: Site, end: tuple[float, float], pixel: float) -> None:
        """Wait for the sensors: an accepted setpoint does not show where the scanner is."""
        deadline = time.monotonic() + self._arrival
        while True:
            off = math.dist(self._do(self._igor.sensors), end) / pixel
            if off <= 0.5:
                return
            if not time.monotonic() < deadline:
                raise MicroscopeError(
                    f"the tip must arrive within half a pixel of site {tuple(site)} in "
                    f"{self._arrival:g} s; its sensors are {off:.3g} pixels off. Is the closed loop on?"
                )
            time.sleep(0.02)

    def park(self) -> None:
        """Stop the scan, set 0 V and withdraw.

        The tip is withdrawn even if the others fail.
        """
        try:
            self._zero()
        finally:
            self._do(self._igor.withdraw)

    def _zero(self) -> None:
        for control in _BIASES:
            self._press(control, "NapPanel", 0.0)

    def _press(self, control: str, panel: str, value: float) -> None:
        self._do(lambda: self._igor.press(control, panel, value))

    def _do(self, call: Callable[[], Any], timeout: float | None = None) -> Any:
        try:
            return self._worker.call(call, self._timeout if timeout is None else timeout)
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
    size, angle = number("ScanSize"), math.radians(number("ScanAngle"))  # clockwise, as it is here
    width, height = size / number("FastRatio"), size / number("SlowRatio")
    step = (height / max(rows - 1, 1), width / max(columns - 1, 1))
    if any(abs(a - b) > 0.01 * b for a, b in zip(image.pixel_size, step, strict=True)):
        raise MicroscopeError(
            f"the image's steps must be ScanSize / (N - 1) = {step} m; the file says "
            f"{image.pixel_size}. It is an aborted or changed image"
        )
    across, down = width / 2, height / 2
    x0 = number("XOffset") - across * math.cos(angle) + down * math.sin(angle)
    y0 = -number("YOffset") - across * math.sin(angle) - down * math.cos(angle)
    sense = (number("XLVDTSens"), number("YLVDTSens"))
    zero = (number("XLVDTOffset"), number("YLVDTOffset"))
    if 0.0 in sense:
        raise MicroscopeError("the image's XLVDTSens and YLVDTSens must not be 0 m/V")
    placed = Scan(
        channels={c: image.channels[c] for c in channels},
        units={c: u for c, u in image.units.items() if c in channels},
        pixel_size=step,
        origin=(x0, y0),
        angle=angle,
        metadata={**image.metadata, "source": "Asylum", "frame": "x = X, y = -Y of the instrument"},
    )
    return placed, lambda x, y: (x / sense[0] + zero[0], -y / sense[1] + zero[1])


def _same(waveform: Waveform, shape: str) -> bool:
    """Tell if the waveform is the panel's: equal steps from 0 V in equal times."""
    count = len(waveform)
    even = np.linspace(waveform.time[0], waveform.time[-1], count)
    turns = [0.0, 0.5, 1.0] if shape == "triangle" else [0.0, 0.25, 0.75, 1.0]
    top = float(waveform.voltage[round((count - 1) * turns[1])])
    levels = [0.0, top, 0.0] if shape == "triangle" else [0.0, top, -top, 0.0]
    ideal = np.interp(np.linspace(0, 1, count), turns, levels)
    return bool(
        top != 0
        and np.abs(waveform.voltage - ideal).max() <= 1e-9
        and np.abs(waveform.time - even).max() <= 1e-6 * waveform.duration
    )
