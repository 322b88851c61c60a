"""A Nanonis controller as a microscope (optional extra ``nanonis``).

Written from the package and the documented protocol and tested against a fake controller that speaks
its frames. No instrument was used. Y points up at the controller and down here: y = -Y, in this file
and nowhere else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from grainscout.hardware.adapters.nanonis.connection import NanonisConnection
from grainscout.hardware.adapters.shared import RealMicroscope, known_channels, positive
from grainscout.hardware.protocol import Capabilities
from grainscout.records import CostModel, IVCurve, MicroscopeError, Scan, Site, Waveform
from grainscout.records.arrays import FloatArray

_SIGNALS = {"height": "Z (m)", "current": "Current (A)"}
_UNITS = {"height": "m", "current": "A"}
_DOWN, _FORWARD = 0, 1
#: Part of a sample's time in which the controller ramps to it; it settles and integrates in the rest.
_RAMP = 0.5


class NanonisMicroscope(RealMicroscope):
    """Scan, move, sweep and park through the TCP Programming Interface.

    A measurement sets 0 V, withdraws, moves, checks the arrival, lands, sweeps and sets 0 V. Bias
    Spectroscopy sweeps forward and back, so only triangles of equal steps can be applied. It ramps
    to each sample at its largest slew rate, settles and integrates. Half of a sample's time goes to
    the ramp, which is therefore twice as steep as the waveform. The tip voltage is not limited
    here: put a ``Guard`` in front.

    Parameters
    ----------
    host, port : str, int
        Address of the controller. Its ports are 6501 to 6504.
    rail_A : float
        Full scale of the current amplifier [A]. Samples within 0.1 % of it are flagged.
    settle_s : float
        Wait after landing [s].
    speed_m_per_s : float
        Speed of moves [m/s].
    timeout_s, scan_timeout_s : float
        Time-out of one command and of one image [s].
    versions : sequence of str
        Beginnings of the controller versions that are accepted.

    Raises
    ------
    MicroscopeError
        If nothing answers, or a controller of another version. The message names the version.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 6501,
        rail_A: float = 10e-9,
        settle_s: float = 0.2,
        speed_m_per_s: float = 1e-6,
        timeout_s: float = 10.0,
        scan_timeout_s: float = 3600.0,
        versions: Sequence[str] = ("Generic 5", "Generic 4", "Mimea"),
    ) -> None:
        positive(rail_A=rail_A, speed_m_per_s=speed_m_per_s, timeout_s=timeout_s)
        super().__init__()
        self._rail, self._settle, self._speed = rail_A, settle_s, speed_m_per_s
        self._timeout, self._scan_timeout = timeout_s, scan_timeout_s
        self._connection = NanonisConnection(host, port, timeout=timeout_s)
        try:
            self._index = self._introduce(tuple(versions))
        except MicroscopeError:
            self._connection.close()  # a port takes one client: the next attempt needs it
            raise

    def _introduce(self, versions: tuple[str, ...]) -> dict[str, int]:
        """Slots of our channels. MicroscopeError for another controller or missing channels."""
        product, version, release = self._connection.version()
        if "SPM" not in product or not version.startswith(versions):
            raise MicroscopeError(
                f"the controller must be a Nanonis SPM Control Software of version "
                f"{' or '.join(versions)}; got {product!r}, version {version!r}, release {release}. "
                "Check it by hand, then pass its version in `versions`"
            )
        names = self._connection.slots()
        index = {ours: names.index(n) for ours, n in _SIGNALS.items() if n in names}
        if set(index) != set(_SIGNALS):
            raise MicroscopeError(
                f"the Signals Manager must have {', '.join(_SIGNALS.values())} in its slots; got "
                f"{', '.join(names)}"
            )
        self._connection.call("FolMe_SpeedSet", self._speed, 1)
        return index

    @property
    def capabilities(self) -> Capabilities:
        """Height and current images. Any site. No light."""
        return Capabilities(channels=tuple(self._index), slew_factor=1.0 / _RAMP)

    @property
    def cost(self) -> CostModel:
        """Travel and settling as configured. 1 s for landing and withdrawal."""
        return CostModel(speed=self._speed, settle=self._settle, overhead=1.0)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take one image downwards, forward direction. DataError for an unknown channel."""
        known_channels(channels, tuple(self._index))
        call = self._connection.call
        pixels, lines = call("Scan_BufferGet")[2:]
        call("Scan_BufferSet", [self._index[c] for c in channels], pixels, lines)
        call("ZCtrl_OnOffSet", 1)
        call("Scan_Action", 0, _DOWN)
        limit_ms = int(self._scan_timeout * 1000)
        late = call("Scan_WaitEndOfScan", limit_ms, timeout=self._scan_timeout + self._timeout)[0]
        if late:
            raise MicroscopeError(f"the scan must end within {self._scan_timeout:g} s; it did not")
        x, y, width, height, degrees = (float(v) for v in call("Scan_FrameGet"))
        images = {c: self._image(c) for c in channels}
        self.park()
        rows, columns = next(iter(images.values())).shape
        angle = math.radians(degrees)  # clockwise, as it is here
        along = np.array([math.cos(angle), math.sin(angle)]) * width / columns
        down = np.array([-math.sin(angle), math.cos(angle)]) * height / rows
        first = np.array([x, -y]) - along * (columns - 1) / 2 - down * (rows - 1) / 2
        try:
            self._frame = Scan(
                channels=images,
                units={c: _UNITS[c] for c in channels},
                pixel_size=(height / rows, width / columns),
                origin=(float(first[0]), float(first[1])),
                angle=angle,
                metadata={"source": "Nanonis", "frame": "x = X, y = -Y of the instrument"},
            )
        except ValueError as error:
            raise MicroscopeError(f"the image from Nanonis is unusable: {error}") from error
        return self._frame

    def _image(self, channel: str) -> FloatArray:
        """Return a channel with row 0 on top. Rows arrive in scan order."""
        answer = self._connection.call("Scan_FrameDataGrab", self._index[channel], _FORWARD)
        image = np.asarray(answer[4], dtype=np.float64)
        upwards = int(answer[5]) == 1
        if image.ndim != 2 or image.size == 0 or str(answer[1]) != _SIGNALS[channel]:
            raise MicroscopeError(
                f"the frame must be an image of {_SIGNALS[channel]}; got {answer[1]!r} of shape "
                f"{image.shape}"
            )
        return image[::-1] if upwards else image

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there, land and sweep. MicroscopeError if anything differs from the command."""
        points, step = _triangle(waveform)
        hold = (1.0 - _RAMP) * step
        call = self._connection.call
        self.go(site)
        # 1 is on, 2 is off and 0 leaves a setting as it is.
        call("BiasSpectr_PropsSet", 2, 1, 1, points, 0.0, 2, 2)
        call(
            "BiasSpectr_LimitsSet", float(waveform.voltage[0]), float(waveform.voltage[points - 1])
        )
        call(
            "BiasSpectr_TimingSet",
            *(0.0, 0.0, 0.0, waveform.slew / _RAMP, 0.5 * hold, 0.5 * hold, 0.0, 0.0),
        )
        call("BiasSpectr_AdvPropsSet", 1, 1, 2, 2)
        answer = call("BiasSpectr_Start", 1, "", timeout=2 * waveform.duration + self._timeout)
        call("Bias_Set", 0.0)
        return self._curve(answer, waveform, points)

    def go(self, site: Site) -> None:
        """Withdraw at 0 V, move, check the arrival, and land.

        MicroscopeError if there is no scan yet, the site is off it, or the tip is elsewhere.
        """
        frame, (x, y) = self._place(site)
        call = self._connection.call
        call("Bias_Set", 0.0)
        call("ZCtrl_Withdraw", 1, int(self._timeout * 1000))
        far = max(frame.shape) * max(frame.pixel_size) * 1.5
        call("FolMe_XYPosSet", x, -y, 1, timeout=far / self._speed + self._timeout)
        there = [float(v) for v in call("FolMe_XYPosGet", 1)]
        off = math.hypot(there[0] - x, there[1] + y)
        if not off <= 0.5 * min(frame.pixel_size):
            raise MicroscopeError(
                f"the tip must arrive within half a pixel of ({x:.4g}, {-y:.4g}) m; it is {off:.3g} m off"
            )
        call("ZCtrl_OnOffSet", 1)
        time.sleep(self._settle)

    def _curve(self, answer: list[object], waveform: Waveform, points: int) -> IVCurve:
        names = [str(n) for n in answer[2]]  # type: ignore[attr-defined]
        table = np.asarray(answer[5], dtype=np.float64)
        if table.shape != (len(names), points):
            raise MicroscopeError(
                f"the sweep must give {points} samples of {len(names)} channels; got {table.shape}"
            )
        columns = dict(zip(names, table, strict=True))
        forward, backward = (columns.get(n) for n in ("Current (A)", "Current [bwd] (A)"))
        bias = next((columns[n] for n in ("Bias calc (V)", "Bias (V)") if n in columns), None)
        if forward is None or backward is None or bias is None:
            raise MicroscopeError(
                "the sweep must give Bias, Current and Current [bwd]; got "
                f"{', '.join(names)}. Select them in the Bias Spectroscopy module"
            )
        error = float(np.abs(bias - waveform.voltage[:points]).max())
        if not error <= 1e-3 * waveform.peak + 1e-6:
            raise MicroscopeError(
                f"the sweep must follow the waveform; Nanonis says it was {error:.3g} V off"
            )
        current = np.concatenate([forward, backward[::-1][1:]])
        return IVCurve(
            voltage=waveform.voltage,
            current=current,
            time=waveform.time,
            saturated=np.abs(current) >= 0.999 * self._rail,
        )

    def park(self) -> None:
        """Set 0 V and withdraw the tip fully.

        A broken connection is replaced by a fresh one.
        """
        try:
            self._connection.call("Bias_Set", 0.0)
        finally:
            self._connection.call("ZCtrl_Withdraw", 1, int(self._timeout * 1000))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _triangle(waveform: Waveform) -> tuple[int, float]:
    """Return the samples of one branch and seconds a sample.

    MicroscopeError if the waveform is no even triangle.
    """
    volts, clock = waveform.voltage, waveform.time
    points = len(volts) // 2 + 1
    ramp = np.linspace(volts[0], volts[points - 1], points)
    even = np.linspace(clock[0], clock[-1], len(clock))
    if (
        len(volts) % 2 == 0
        or volts[points - 1] == volts[0]
        or np.abs(volts - np.concatenate([ramp, ramp[-2::-1]])).max() > 1e-9
        or np.abs(clock - even).max() > 1e-6 * waveform.duration
    ):
        raise MicroscopeError(
            "Bias Spectroscopy can apply a triangle of equal steps in equal times only (an odd number "
            f"of samples, there and back); got {waveform.kind} of {len(volts)} samples. Use "
            "Waveform.triangle"
        )
    if (
        not 1e-37 <= waveform.slew <= 1e37
    ):  # sent in single precision, where less is a slew rate of 0
        raise MicroscopeError(
            f"a triangle of Bias Spectroscopy must have 1e-37 to 1e37 V/s; got {waveform.slew:g}"
        )
    return points, waveform.duration / (len(volts) - 1)
