"""Common parts of real microscopes: frame, wall clock, no lamp, polarity, waiting for the tip."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import Parameter, Signature, signature
from typing import Any, Literal

import numpy as np

from grainscout.hardware.clock import RealClock
from grainscout.records.arrays import FloatArray
from grainscout.records.curve import IVCurve
from grainscout.records.errors import ConfigError, DataError, MicroscopeError, NotSentError
from grainscout.records.scan import Scan, Site, checked_site
from grainscout.records.waveform import Waveform

#: Where the bias is wired to.
BiasTo = Literal["sample", "tip"]


class RealMicroscope:
    """Base of adapters of instruments that image and place their tip."""

    _frame: Scan | None = None  # the last image
    _displaced: tuple[Scan | None, float, float] = (None, 0.0, 0.0)  # an image, rows, columns

    def __init__(self) -> None:
        self.clock = RealClock()  # since connecting

    def light(self, suns: float) -> None:
        """Do nothing for 0 suns. MicroscopeError for more, there is no lamp."""
        if suns != 0:
            raise MicroscopeError(
                f"light must stay at 0 suns: this microscope has no lamp; got {suns}"
            )

    def displace(self, rows: float, columns: float) -> None:
        """Displace later sites by rows and columns [pixels] from the last image."""
        self._displaced = self._frame, rows, columns

    def _imaged(self) -> Scan:
        """Return the last image. NotSentError without one."""
        if self._frame is None:
            raise NotSentError("a move needs a scan before it: sites are pixels of the last image")
        return self._frame

    def _place(self, site: Site) -> tuple[Scan, tuple[float, float]]:
        """Return the image and x, y [m] of a site."""
        frame = self._imaged()
        site = checked_site(site, frame.shape, error=MicroscopeError)
        return frame, self._position(*site)

    def _position(self, row: float, column: float) -> tuple[float, float]:
        """Return x, y [m] of a place of the last image, displaced."""
        frame, (of, *displaced) = self._imaged(), self._displaced
        by = displaced if of is frame else (0.0, 0.0)
        x, y = frame.positions(np.array([(row, column)]) + by)[0]
        return float(x), float(y)


def from_centre(
    channels: Mapping[str, FloatArray],
    units: Mapping[str, str],
    frame: Sequence[float],
    metadata: Mapping[str, Any],
) -> Scan:
    """Place images on a frame: centre x, y, width, height [m], clockwise rotation [degrees], Y up.

    Here y points down: y = -Y. MicroscopeError for images that are no scan.
    """
    x, y, width, height, degrees = map(float, frame)
    rows, columns = next(iter(channels.values())).shape
    angle = math.radians(degrees)
    along = np.array([math.cos(angle), math.sin(angle)]) * width / columns
    down = np.array([-math.sin(angle), math.cos(angle)]) * height / rows
    first = np.array([x, -y]) - along * (columns - 1) / 2 - down * (rows - 1) / 2
    try:
        return Scan(
            channels=channels,
            units=units,
            pixel_size=(height / rows, width / columns),
            origin=(float(first[0]), float(first[1])),
            angle=angle,
            metadata={"frame": "x = X, y = -Y of the instrument", **metadata},
        )
    except ValueError as error:
        raise MicroscopeError(f"the image from the instrument is unusable: {error}") from error


def wait_still(
    read: Callable[[], tuple[float, ...]],
    must: str,
    *,
    stable_s: float,
    most: float,
    timeout_s: float,
) -> tuple[float, ...]:
    """What `read` gives once it moved by at most `most` for `stable_s`. MicroscopeError after `timeout_s`."""
    begun = time.monotonic()
    seen: deque[tuple[float, ...]] = deque()
    while True:
        now = time.monotonic()
        seen.append((now, *read()))
        while len(seen) > 3 and now - seen[1][0] >= stable_s:
            seen.popleft()
        moved = float(np.ptp(np.array(seen)[:, 1:], axis=0).max())
        if len(seen) >= 3 and now - seen[0][0] >= stable_s and moved <= most:
            return seen[-1][1:]
        if now - begun > timeout_s:
            last = ", ".join(f"{v:.4g}" for v in seen[-1][1:])
            raise MicroscopeError(f"the tip must {must}; it reads {last} and moved by {moved:.3g}")
        time.sleep(0.02)


def merged_signature(options: type, more: Mapping[str, object]) -> Signature:
    """Signature of a factory that takes `options`, and `more` with these defaults."""
    known = signature(options).parameters
    own = [p.replace(default=more.get(name, p.default)) for name, p in known.items()]
    new = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=value)
        for name, value in more.items()
        if name not in known
    ]
    return Signature([*own, *new])


def positive(**settings: float) -> None:
    """ConfigError for a setting that is not positive and finite."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} must be positive and finite; got {value}")


def known_channels(wanted: Sequence[str], known: Sequence[str]) -> None:
    """DataError unless some channels are wanted, all of them known."""
    if not wanted or not set(wanted) <= set(known):
        raise DataError(f"scan channels must be some of {', '.join(known)}; got {list(wanted)}")


def as_applied(waveform: Waveform, bias_to: BiasTo) -> Waveform:
    """Turn volts at the sample into those of the instrument's output."""
    if bias_to == "sample":
        return waveform
    return replace(waveform, voltage=0.0 - waveform.voltage)


def as_at_sample(curve: IVCurve, bias_to: BiasTo) -> IVCurve:
    """Turn a curve back to volts at the sample. A resistor stays one: both signs change."""
    if bias_to == "sample":
        return curve
    signals = {
        name: 0.0 - values if name.startswith("current") else values
        for name, values in curve.signals.items()
    }
    return replace(curve, voltage=0.0 - curve.voltage, current=0.0 - curve.current, signals=signals)


def refuse_stopped(images: Mapping[str, FloatArray], channels: Sequence[str]) -> None:
    """MicroscopeError for an image with lines that were not scanned."""
    flat = np.all([np.ptp(images[c], axis=1) == 0 for c in channels], axis=0)
    if flat.any():
        raise MicroscopeError(
            f"every line of the image must be scanned; {int(flat.sum())} of {flat.size} are constant. It "
            "was stopped before its end"
        )


def staircase(
    waveform: Waveform,
    source: Callable[[float], None],
    read: Callable[[], tuple[float, bool]],
    *,
    lag: float,
) -> IVCurve:
    """Source each voltage at its time and read a current [A], and whether it is saturated.

    MicroscopeError once a sample is later than `lag` times the sweep: a slower one is another measurement.
    """
    times: list[float] = []
    readings: list[tuple[float, bool]] = []
    begun = time.monotonic()
    for volts, due in zip(waveform.voltage, waveform.time - waveform.time[0], strict=True):
        time.sleep(max(0.0, begun + due - time.monotonic()))
        late = time.monotonic() - begun - due
        if late > lag * waveform.duration:
            raise MicroscopeError(
                f"the sweep must take {waveform.duration:g} s; the meter is {late:.3g} s late after "
                f"{len(times)} of {len(waveform)} samples. Use fewer samples, a longer sweep or a shorter "
                "integration"
            )
        source(float(volts))
        readings.append(read())
        times.append(time.monotonic() - begun)
    currents, flags = zip(*readings, strict=True)
    return IVCurve(
        voltage=waveform.voltage,
        current=np.array(currents),
        time=np.array(times),
        saturated=np.array(flags),
    )
