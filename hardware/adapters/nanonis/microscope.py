"""A Nanonis controller as a microscope (optional extra ``nanonis``).

Written from the package and the documented protocol and tested against a fake controller that speaks
its frames. No instrument was used. Y points up at the controller and down here: y = -Y, in this file
and nowhere else.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grainscout.hardware.adapters.nanonis.connection import NanonisConnection
from grainscout.hardware.adapters.nanonis.options import NanonisOptions
from grainscout.hardware.adapters.nanonis.settings import Settings
from grainscout.hardware.adapters.nanonis.sweep import Plan, plan
from grainscout.hardware.adapters.nanonis.tip import ON, Tip, park_through
from grainscout.hardware.adapters.shared import (
    RealMicroscope,
    as_applied,
    as_at_sample,
    from_centre,
    known_channels,
    refuse_stopped,
)
from grainscout.hardware.protocol import Paper, Part, Rescue
from grainscout.records.arrays import FloatArray
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import MicroscopeError
from grainscout.records.scan import Scan, Site
from grainscout.records.waveform import Waveform

_SIGNALS = {"height": "Z (m)", "current": "Current (A)"}
_DOWN, _FORWARD = 0, 1


class NanonisMicroscope(RealMicroscope):
    """Scan, look, move, sweep and park through the TCP Programming Interface.

    A measurement reads the settings, sets 0 V, lifts, moves, checks the arrival, lands, sweeps, sets
    0 V and lifts. Landings and lifts are confirmed by the Z-controller's status and by Z. Bias
    Spectroscopy ramps to each sample at its largest slew rate, settles and integrates. Half of a
    sample's time goes to the ramp, which is therefore twice as steep as the waveform. An even triangle
    is swept there and back, any other waveform in up to 16 segments. The tip voltage is not limited
    here: put a ``Guard`` in front. Options as in `NanonisOptions`.
    """

    __signature__ = inspect.signature(NanonisOptions)

    def __init__(self, **options: Any) -> None:
        self._how = how = NanonisOptions(**options)
        self.capabilities, self.cost = how.capabilities, how.cost
        super().__init__()
        self._signals = {**_SIGNALS, **how.signals}
        self._connection = NanonisConnection(how.host, how.port, timeout=how.timeout_s, own=True)
        self._emergency: NanonisConnection | None = None
        self._settings = Settings(self._connection, how.controller, how.setpoint)
        try:
            self._index, deflection = self._introduce()
            self._tip = Tip(self._connection, how, deflection)
            self._found = self._settings.check()
            self._open_emergency()
            self._settings.keep()
            self._connection.call("FolMe_SpeedSet", how.speed_m_per_s, 1)
            if how.lift == "partial":
                self._connection.call("ZCtrl_TipLiftSet", how.lift_m)
        except MicroscopeError:
            for connection in (self._connection, self._emergency):
                if connection is not None:
                    connection.close()  # a port takes one client: the next attempt needs it
            raise

    @classmethod
    def on_paper(cls, **options: Any) -> Paper:
        """What the options tell before the controller is asked."""
        how = NanonisOptions(**options)
        return Paper(capabilities=how.capabilities, cost=how.cost, applies=plan)

    def _introduce(self) -> tuple[dict[str, int], Callable[[], float] | None]:
        """Slots of our channels, and how to read the deflection. MicroscopeError if one is missing."""
        call, accepted = self._connection.call, tuple(self._how.versions)
        product, version, release = self._connection.version()
        if "SPM" not in product or not version.startswith(accepted):
            raise MicroscopeError(
                f"the controller must be a Nanonis SPM Control Software of version "
                f"{' or '.join(accepted)}; got {product!r}, version {version!r}, release {release}. "
                "Check it by hand, then pass its version in `versions`"
            )
        slots, wanted = self._connection.slots(), self._how.deflection
        names = list(slots)
        missing = [n for n in (*self._signals.values(), wanted) if n and n not in names]
        if missing:
            raise MicroscopeError(
                f"the Signals Manager must have {', '.join(missing)} in its slots; got {', '.join(names)}"
            )
        index = {ours: names.index(name) for ours, name in self._signals.items()}
        if not wanted:
            return index, None
        return index, lambda: float(call("Signals_ValGet", slots[wanted], 1)[0])

    def _open_emergency(self) -> None:
        how = self._how
        if not how.emergency_port:
            return
        connection = NanonisConnection(how.host, how.emergency_port, timeout=how.timeout_s)
        try:
            connection.version()
        except MicroscopeError as error:
            raise MicroscopeError(
                f"a second connection must open, to stop the tip while the first is busy: {error}. Enable "
                "that port, name another in emergency_port, or 0 to go without"
            ) from error
        self._emergency = connection

    def settings(self) -> PackedState:
        """Settings of the controller as last read, and the wiring as stated."""
        return {**self._found, "bias_to": self._how.bias_to}

    def contact(self) -> bool:
        """Tell if the tip is not confirmed to be up."""
        if self._connection.halted and self._emergency is not None:
            return not Tip(self._emergency, self._how).up()
        self._connection.halted = False
        return not self._tip.up()

    def landings(self) -> int:
        """Number of confirmed landings."""
        return self._tip.landings

    def rescues(self) -> Sequence[Rescue]:
        """Parking over `watchdog_port`, if there is one."""
        how = self._how
        if not how.watchdog_port:
            return ()
        names = ("host", "timeout_s", "withdraw_timeout_s")
        options = {"port": how.watchdog_port} | {name: getattr(how, name) for name in names}
        target = "grainscout.hardware.adapters.nanonis.tip:rescue"
        return (Rescue(target=target, options=options),)

    def image_bias(self, volts: float) -> None:
        """Set the bias of later images [V], instead of scan_bias_V."""
        self._how = replace(self._how, scan_bias_V=volts)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take one image downwards, forward direction. DataError for an unknown channel."""
        known_channels(channels, tuple(self._index))
        self._begin()
        pixels, lines = self._connection.call("Scan_BufferGet")[2:]
        images, frame = self._images(channels, pixels, lines)
        self.park()
        refuse_stopped(images, channels)
        units = {c: self._signals[c].rpartition("(")[2].rstrip(")") for c in channels}
        about = {"source": "Nanonis", "settings": self.settings()}
        self._frame = from_centre(images, units, frame, about)
        return self._frame

    def look(self, part: Part) -> Scan:
        """Image a part with the channels and pixels of the last image, and give the frame back.

        Lines have a multiple of 16 pixels, as the controller wants it.
        """
        self._begin()
        whole, call = self._imaged(), self._connection.call
        wide = min(whole.shape[1], -(-part.columns // 16) * 16)
        first = min(part.column, whole.shape[1] - wide)
        x, y = self._position(part.row + (part.rows - 1) / 2, first + (wide - 1) / 2)
        frame, (_, slots, *buffer) = call("Scan_FrameGet"), call("Scan_BufferGet")
        size = (wide * whole.pixel_size[1], part.rows * whole.pixel_size[0])
        try:
            call("Scan_FrameSet", x, -y, *size, frame[4])
            images, _ = self._images(tuple(whole.channels), wide, part.rows)
        finally:
            self.park()
            self._connection.halted = False
            call("Scan_FrameSet", *frame)
            call("Scan_BufferSet", [int(slot[0]) for slot in slots], *buffer)
        if any(image.shape != (part.rows, wide) for image in images.values()):
            got = next(iter(images.values())).shape
            raise MicroscopeError(f"a look must have {part.rows} x {wide} pixels; got {got}")
        refuse_stopped(images, tuple(images))
        cut = slice(part.column - first, part.column - first + part.columns)
        return replace(whole, channels={c: image[:, cut] for c, image in images.items()})

    def _images(
        self, channels: Sequence[str], pixels: int, lines: int
    ) -> tuple[dict[str, FloatArray], list[Any]]:
        """Land, scan downwards and return the forward images, with the frame. The tip stays landed."""
        how, call = self._how, self._connection.call
        call("Scan_BufferSet", [self._index[c] for c in channels], pixels, lines)
        call("Bias_Set", how.scan_bias_V)  # whatever an operator left
        bias = float(call("Bias_Get")[0])
        if not abs(bias - how.scan_bias_V) <= 1e-3 * abs(how.scan_bias_V) + 1e-3:
            raise MicroscopeError(
                f"the bias must be {how.scan_bias_V:g} V before an image; Nanonis says {bias:g} V"
            )
        self._tip.land()
        call("Scan_Action", 0, _DOWN)
        limit_ms = int(how.scan_timeout_s * 1000)
        late = call("Scan_WaitEndOfScan", limit_ms, timeout=how.scan_timeout_s + how.timeout_s)[0]
        if late:
            raise MicroscopeError(
                f"the scan must end within {how.scan_timeout_s:g} s (scan_timeout_s); it did not"
            )
        frame = call("Scan_FrameGet")
        return {c: self._image(c) for c in channels}, frame

    def _image(self, channel: str) -> FloatArray:
        """Return a channel with row 0 on top. Rows arrive in scan order."""
        answer = self._connection.call("Scan_FrameDataGrab", self._index[channel], _FORWARD)
        image = np.asarray(answer[4], dtype=np.float64)
        upwards = int(answer[5]) == 1
        if image.ndim != 2 or image.size == 0 or str(answer[1]) != self._signals[channel]:
            raise MicroscopeError(
                f"the frame must be an image of {self._signals[channel]}; got {answer[1]!r} of shape "
                f"{image.shape}"
            )
        return image[::-1] if upwards else image

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there, land and sweep. MicroscopeError if anything differs from the command."""
        how = self._how
        planned = plan(as_applied(waveform, how.bias_to))  # refused before anything moves
        self.go(site)
        curves = [self._sweep(planned, setpoint) for setpoint in how.setpoints or (None,)]
        if how.rest == "lifted" and how.lift != "none":
            self._tip.lift()
        more = {
            f"current at setpoint {setpoint:g}": curve.current
            for setpoint, curve in list(zip(how.setpoints, curves, strict=False))[1:]
        }
        first = replace(curves[0], signals={**curves[0].signals, **more})
        return as_at_sample(first, how.bias_to)

    def _sweep(self, planned: Plan, setpoint: float | None) -> IVCurve:
        """Sweep here, at another setpoint if one is given, and set 0 V."""
        how, call, segments = self._how, self._connection.call, planned.segments
        mode = "Linear" if planned.back else "MLS"
        self._connection.optional("BiasSpectr_MLSModeSet", mode)
        found = self._connection.optional("BiasSpectr_MLSModeGet")
        if str(found[1]) != mode if found is not None else not planned.back:
            raise MicroscopeError(f"Bias Spectroscopy must be in the mode {mode}; it says {found}")
        # 1 is on, 2 is off and 0 leaves a setting as it is.
        points = sum(s.points for s in segments)
        call("BiasSpectr_PropsSet", 2, how.averages, 1 if planned.back else 2, points, 0.0, 0, 2)
        volts, hold = planned.waveform.voltage, planned.hold(segments[0])
        if planned.back:
            call("BiasSpectr_LimitsSet", float(volts[0]), float(volts[points - 1]))
        else:
            holds = [0.5 * planned.hold(s) for s in segments]
            ends = (
                [float(volts[s.first]) for s in segments],
                [float(volts[s.last]) for s in segments],
            )
            none = [0] * len(segments)
            counts = [s.points for s in segments]
            call(
                "BiasSpectr_MLSValsSet",
                *(len(segments), *ends, [0.0] * len(segments), holds, holds, counts, none),
            )
        call("BiasSpectr_TimingSet", 0.0, 0.0, 0.0, planned.slew, 0.5 * hold, 0.5 * hold, 0.0, 0.0)
        call("BiasSpectr_AdvPropsSet", 1, 1 if how.hold else 2, 2, 2)
        other = (2, 0.0, 0.0) if setpoint is None else (1, setpoint, how.settle_s)
        call("BiasSpectr_AltZCtrlSet", *other)
        seconds = 2 * planned.waveform.duration * how.averages
        answer = call("BiasSpectr_Start", 1, "", timeout=seconds + how.timeout_s)
        call("Bias_Set", 0.0)
        return self._curve(answer, planned, points)

    def go(self, site: Site) -> None:
        """Lift at 0 V, move, check the arrival, land. MicroscopeError if any of it is not confirmed."""
        frame, (x, y) = self._place(site)
        how, call = self._how, self._connection.call
        self._begin()
        call("Bias_Set", 0.0)
        drag = how.lift == "none" and self._tip.status() == ON
        if not (drag or self._tip.up()):
            self._tip.lift()
        far = max(frame.shape) * max(frame.pixel_size) * 1.5
        call("FolMe_XYPosSet", x, -y, 1, timeout=far / how.speed_m_per_s + how.timeout_s)
        there = [float(v) for v in call("FolMe_XYPosGet", 1)]
        off = math.hypot(there[0] - x, there[1] + y)
        if not off <= 0.5 * min(frame.pixel_size):
            raise MicroscopeError(
                f"the tip must arrive within half a pixel of ({x:.4g}, {-y:.4g}) m; it is {off:.3g} m off"
            )
        self._tip.land()

    def _begin(self) -> None:
        """Read the settings again: a person may have changed one."""
        self._connection.halted = False
        self._found = self._settings.check()

    def _curve(self, answer: list[Any], planned: Plan, points: int) -> IVCurve:
        names = [str(n) for n in answer[2]]
        table = np.asarray(answer[5], dtype=np.float64)
        if table.shape != (len(names), points):
            raise MicroscopeError(
                f"the sweep must give {points} samples of {len(names)} channels; got {table.shape}"
            )
        columns = dict(zip(names, table, strict=True))
        bias = next((columns[n] for n in ("Bias calc (V)", "Bias (V)") if n in columns), None)
        current = _whole(columns, _SIGNALS["current"], planned.back)
        if current is None or bias is None:
            raise MicroscopeError(
                "the sweep must give Bias, Current and Current [bwd]; got "
                f"{', '.join(names)}. Select them in the Bias Spectroscopy module"
            )
        waveform = planned.waveform
        error = float(np.abs(bias - waveform.voltage[:points]).max())
        if not error <= 1e-3 * waveform.peak + 1e-6:
            raise MicroscopeError(
                f"the sweep must follow the waveform; Nanonis says it was {error:.3g} V off"
            )
        span = self._tip.pressed - self._tip.free
        bend = _whole(columns, self._how.deflection, planned.back) if span else None
        return IVCurve(
            voltage=waveform.voltage,
            current=current,
            time=waveform.time,
            saturated=np.abs(current) >= 0.999 * self._how.rail_A,
            signals={} if bend is None else {"deflection": (bend - self._tip.free) / span},
        )

    def park(self) -> None:
        """Stop all, set 0 V, withdraw fully, over the second connection, as the first may be busy."""
        self._connection.halted = True
        try:
            park_through(self._emergency or self._connection, self._how)
        except MicroscopeError:
            if self._emergency is None:
                raise
            park_through(self._connection, self._how)
        finally:
            self._connection.halted = True
            self._tip.forget()

    def close(self) -> None:
        """Give the settings back and close the connections. Park before."""
        self._connection.halted = False
        try:
            self._settings.give_back()
        except MicroscopeError:
            pass  # it does not answer
        finally:
            self._connection.close()
            if self._emergency is not None:
                self._emergency.close()


def _whole(columns: dict[str, FloatArray], name: str, back: bool) -> FloatArray | None:
    """Return a channel over the whole waveform, or None if it was not recorded."""
    forward = columns.get(name)
    backward = columns.get(name.replace(" (", " [bwd] ("))
    if not back or forward is None:
        return forward
    return None if backward is None else np.concatenate([forward, backward[::-1][1:]])
