"""A guarded microscope as ophyd-async devices (extra ``bluesky``).

A move and a landing belong to a measurement here. Setting ``row`` and ``column`` therefore chooses
where the next trigger measures, and the trigger goes there, sweeps and returns with the curve.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from grainscout.hardware.guard import Guard
from grainscout.records import ConfigError, DataError, LimitError, Scan, Site, Waveform

try:
    from bluesky.utils import maybe_await
    from ophyd_async.core import (
        Array1D,
        AsyncStatus,
        SignalRW,
        SoftSignalBackend,
        StandardReadable,
        StandardReadableFormat,
        soft_signal_r_and_setter,
    )
except ImportError as error:
    raise ConfigError(
        f"devices need the package ophyd-async: pip install -e '.[bluesky]' in the checkout; {error}"
    ) from error

_T = TypeVar("_T")


class MicroscopeDevice(StandardReadable):
    """One microscope as a device of Bluesky's RunEngine.

    Settings are ``row``, ``column`` (whole pixels of the last image), ``light`` [suns], ``peak`` [V] and
    ``duration`` [s]. A trigger gives ``voltage`` [V], ``current`` [A], ``time`` [s], ``saturated``, and the
    place, ``x`` and ``y`` [m]. ``image`` is a device of its own, whose trigger takes an image.

    The first trigger takes an image if there is none yet, and unstaging parks. A broken limit fails the
    plan before anything is issued, with the guard's LimitError as its cause. All commands are issued
    one after the other by a thread of the device's own. Parking therefore waits for the sweep that is
    going on, and the RunEngine can be paused meanwhile.

    A `waveform` is scaled by the signals ``peak`` and ``duration``. The default is the microscope's own (a
    recording's) or a triangle. ConfigError without a guard.
    """

    def __init__(
        self, guard: Guard, *, waveform: Waveform | None = None, name: str = "microscope"
    ) -> None:
        if not isinstance(guard, Guard):
            raise ConfigError(f"a device must be of a Guard; got {type(guard).__name__}")
        self._guard = guard
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name or "microscope")
        self._waveform = waveform or guard.capabilities.waveform or Waveform.triangle()
        samples = len(self._waveform)
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            self.row = _signal(int, 0, "pixel", self._whole(0))
            self.column = _signal(int, 0, "pixel", self._whole(1))
        with self.add_children_as_readables():
            self.x, self._set_x = soft_signal_r_and_setter(float, math.nan, units="m")
            self.y, self._set_y = soft_signal_r_and_setter(float, math.nan, units="m")
            lost = np.full(samples, np.nan)
            self.voltage, self._set_voltage = soft_signal_r_and_setter(
                Array1D[np.float64], lost, units="V"
            )
            self.current, self._set_current = soft_signal_r_and_setter(
                Array1D[np.float64], lost, units="A"
            )
            self.time, self._set_time = soft_signal_r_and_setter(
                Array1D[np.float64], lost, units="s"
            )
            self.saturated, self._set_saturated = soft_signal_r_and_setter(
                Array1D[np.bool_], np.zeros(samples, bool)
            )
        with self.add_children_as_readables(StandardReadableFormat.CONFIG_SIGNAL):
            self.light = _signal(float, 0.0, "suns", self._illuminate)
            self.peak = _signal(float, self._waveform.peak, "V", self._scale_peak)
            self.duration = _signal(float, self._waveform.duration, "s", self._scale_duration)
            self.waveform, _ = soft_signal_r_and_setter(str, self._waveform.kind)
        self.image = ImageDevice(self._do, guard)
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Set 0 V and withdraw the tip."""
        try:
            await self._do(self._guard.park)
        finally:
            await super().unstage()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Measure at ``row`` and ``column``. Take an image first if there is none."""
        scan = self.image.scan or await self.image.take()
        site = Site(await self.row.get_value(), await self.column.get_value())
        curve = await self._do(lambda: self._guard.measure(site, self._waveform))
        self._set_voltage(curve.voltage)
        self._set_current(curve.current)
        self._set_time(curve.time)
        self._set_saturated(curve.saturated)
        x, y = scan.position(site)
        self._set_x(x)
        self._set_y(y)

    async def _do(self, command: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, command)

    def _whole(self, axis: int) -> Callable[[float], int]:
        """Make the check of a coordinate: a fraction is refused, never rounded."""

        def check(value: float) -> int:
            if not (math.isfinite(value) and value == int(value)):
                raise LimitError(f"site must be two whole numbers, row and column; got {value}")
            scan = self.image.scan
            if scan is not None and not 0 <= value < scan.shape[axis]:
                raise LimitError(
                    f"{('row', 'column')[axis]} must be 0 to {scan.shape[axis] - 1}; got {value:g}"
                )
            return int(value)

        return check

    async def _illuminate(self, suns: float) -> float:
        await self._do(lambda: self._guard.light(suns))
        return suns

    def _scale_peak(self, volts: float) -> float:
        factor = _factor("peak", volts, self._waveform.peak, "V")
        self._waveform = replace(self._waveform, voltage=factor * self._waveform.voltage)
        return volts

    def _scale_duration(self, seconds: float) -> float:
        factor = _factor("duration", seconds, self._waveform.duration, "s")
        self._waveform = replace(self._waveform, time=factor * self._waveform.time)
        return seconds


class ImageDevice(StandardReadable):
    """Image of a microscope: a trigger scans ``height`` [m], rows downwards."""

    def __init__(self, do: Callable[[Callable[[], Scan]], Awaitable[Scan]], guard: Guard) -> None:
        self._do, self._guard = do, guard
        self.scan: Scan | None = None
        with self.add_children_as_readables():
            self.height, self._set_height = soft_signal_r_and_setter(
                np.ndarray, np.zeros((1, 1)), units="m"
            )
        super().__init__()

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Take an image. The sites of later measurements are its pixels."""
        await self.take()

    async def take(self) -> Scan:
        """Take and return a new image."""
        self.scan = scan = await self._do(self._guard.scan)
        self._set_height(np.array(scan.height))
        return scan


class RunCurves:
    """Curves of runs, as the evaluation function of ``bluesky_adaptive.plans.optimize``.

    Subscribe `receive` to the RunEngine. Called with a run's uid and the suggestions it gives the points
    that `PolicyOptimizer.ingest` takes. DataError for a suggestion that was not measured.
    """

    def __init__(self, device: MicroscopeDevice) -> None:
        self._device = device
        self._runs: dict[str, str] = {}  # descriptor -> run
        self._events: dict[str, list[dict[str, Any]]] = {}

    def receive(self, name: str, document: Mapping[str, Any]) -> None:
        """Take a document of the RunEngine."""
        if name == "descriptor" and self._device.row.name in document["data_keys"]:
            self._runs[document["uid"]] = document["run_start"]
        elif name == "event" and document["descriptor"] in self._runs:
            run = self._runs[document["descriptor"]]
            self._events.setdefault(run, []).append(dict(document["data"]))

    def __call__(self, uid: str, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one point a suggestion. A site suggested twice is measured twice."""
        row, column = self._device.row.name, self._device.column.name
        left = list(self._events.pop(uid, []))
        points = []
        for suggestion in suggestions:
            wanted = (suggestion[row], suggestion[column])
            here = [i for i, e in enumerate(left) if (e[row], e[column]) == wanted]
            if not here:
                raise DataError(f"run {uid} must have measured {dict(suggestion)}; it did not")
            event = left.pop(here[0])
            curve = {
                key: event[getattr(self._device, key).name]
                for key in ("voltage", "current", "time", "saturated")
            }
            points.append({**suggestion, **curve})
        return points


def _signal(
    kind: type[Any], initial: Any, units: str, check: Callable[[Any], Any]
) -> SignalRW[Any]:
    # No time-out of its own: each command of a microscope has one.
    return SignalRW(_Checked(kind, initial, units, check), timeout=None)


class _Checked(SoftSignalBackend[Any]):
    """A value that is set only after `check` accepted it or carried it out."""

    def __init__(
        self, kind: type[Any], initial: Any, units: str, check: Callable[[Any], Any]
    ) -> None:
        self._check = check
        super().__init__(kind, initial, units)

    async def put(self, value: Any) -> None:
        await super().put(await maybe_await(self._check(value)))


def _factor(name: str, value: float, now: float, unit: str) -> float:
    if not (math.isfinite(value) and value > 0 and now > 0):
        raise ConfigError(
            f"{name} must be finite and > 0 {unit}, of a waveform that has one; got {value} for {now}"
        )
    return value / now
