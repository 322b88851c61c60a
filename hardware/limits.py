"""Limits of a microscope and its sample."""

import math
from dataclasses import dataclass, fields
from numbers import Real

import numpy as np

from grainscout.records import ConfigError, Waveform

#: A rounding error of a voltage or a time is not a violation.
_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A limit that a command would break: field of `Limits`, value and allowed value, and of what."""

    limit: str
    value: float
    allowed: float
    unit: str
    what: str

    @property
    def excess(self) -> float:
        """Distance beyond the limit [unit]. Always positive."""
        return abs(self.value - self.allowed)

    def __str__(self) -> str:
        bound = "at least" if self.value < self.allowed else "at most"
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.what} must be {bound} {self.allowed:.6g}{unit}; got {self.value:.6g}{unit}, "
            f"{self.excess:.3g}{unit} beyond the limit {self.limit}"
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a microscope and its sample. None means no limit.

    Raises
    ------
    ConfigError
        For a limit that is not positive and finite, or an empty frame.
    """

    voltage_V: float | None = 2.0  #: Largest absolute voltage of a waveform [V]
    #: Largest absolute slew rate between its samples [V/s]. The steps from 0 V to the first sample
    #: and from the last one back count too, each within one sample's time.
    slew_V_per_s: float | None = 2000.0
    #: Longest time under bias of one measurement [s]: the waveform, averages, and what a controller
    #: adds.
    dwell_s: float | None = 60.0
    #: Longest time under bias at one site, all visits of the run together [s].
    site_s: float | None = None
    #: (x_min, y_min, x_max, y_max) [m] in the scan frame that sites must lie in, edges included.
    frame_m: tuple[float, float, float, float] | None = None
    curves: int | None = None  #: Number of measurements issued
    #: Time on the experiment's clock [s] when a measurement must be finished, by its expected cost.
    total_s: float | None = None
    #: Compliance [A], set on a microscope that can limit its current. Any other is checked
    #: afterwards: the tip is withdrawn, samples beyond it are flagged as saturated, and three such
    #: curves in a row are an error.
    current_A: float | None = None
    light_suns: float | None = 1.0  #: Brightest illumination [suns]

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None or item.name == "frame_m":
                continue
            if not _number(value) or value <= 0:
                raise ConfigError(f"Limits {item.name} must be finite and > 0; got {value!r:.80}")
        if self.frame_m is not None:
            given = self.frame_m
            if not (
                isinstance(given, (tuple, list)) and len(given) == 4 and all(map(_number, given))
            ):
                raise ConfigError(
                    "Limits frame_m must be (x_min, y_min, x_max, y_max), four finite lengths [m]; "
                    f"got {given!r:.80}"
                )
            frame = tuple(float(v) for v in given)
            if frame[0] >= frame[2] or frame[1] >= frame[3]:
                raise ConfigError(
                    f"Limits frame_m must have x_min < x_max and y_min < y_max [m]; got {frame}"
                )
            object.__setattr__(self, "frame_m", frame)

    def require_within(self, narrower: "Limits") -> None:
        """ConfigError if another limit is wider than its own here, or its frame is another one."""
        for item in fields(self):
            old, new = getattr(self, item.name), getattr(narrower, item.name)
            frame = item.name == "frame_m"
            if new != old if frame else old is not None and (new is None or new > old):
                raise ConfigError(f"{item.name} must be at most {old}, as now; got {new}")

    def of_waveform(
        self,
        waveform: Waveform,
        *,
        slew_factor: float = 1.0,
        rise_s: float = 0.0,
        exposure_s: float | None = None,
        before_s: float = 0.0,
    ) -> list[Violation]:
        """List the limits that this waveform would break.

        `slew_factor`, `rise_s` and `exposure_s` as in `Capabilities`. `before_s` is the time under
        bias that its site has had [s].
        """
        slew = slew_factor * _slew(waveform, rise_s)
        seconds = waveform.duration if exposure_s is None else exposure_s
        at_site = before_s + seconds
        return [
            *_above("voltage_V", "largest |voltage|", waveform.peak, self.voltage_V, "V"),
            *_above("slew_V_per_s", "slew rate", slew, self.slew_V_per_s, "V/s"),
            *_above("dwell_s", "time under bias", seconds, self.dwell_s, "s"),
            *_above("site_s", "time under bias at this site", at_site, self.site_s, "s"),
        ]

    def of_bias(self, volts: float) -> list[Violation]:
        """List the limits that an image at this bias [V] would break."""
        return _above("voltage_V", "|bias| of an image", abs(volts), self.voltage_V, "V")

    def of_position(self, x: float, y: float) -> list[Violation]:
        """List the limits that a move to (x, y) [m] would break."""
        if self.frame_m is None:
            return []
        found = []
        for k, value in enumerate((x, y)):
            low, high = self.frame_m[k], self.frame_m[k + 2]
            slack = _SLACK * (high - low)
            if not low - slack <= value <= high + slack:
                about = {"unit": "m", "what": f"position {'xy'[k]}"}
                allowed = low if value < low else high
                found.append(Violation(limit="frame_m", value=value, allowed=allowed, **about))
        return found

    def of_count(self, issued: int) -> list[Violation]:
        """List the limits that one more measurement would break."""
        return _above("curves", "number of measurements", issued + 1, self.curves, "")

    def of_time(self, finished: float) -> list[Violation]:
        """List the limits that an end at `finished` [s] would break."""
        return _above("total_s", "expected end of the measurement", finished, self.total_s, "s")

    def of_current(self, amperes: float) -> list[Violation]:
        """List the limits that this current [A] broke."""
        return _above("current_A", "largest |current|", abs(amperes), self.current_A, "A")

    def of_light(self, suns: float) -> list[Violation]:
        """List the limits that this illumination [suns] would break."""
        return _above("light_suns", "light", suns, self.light_suns, "suns")


def _number(value: object) -> bool:
    """Tell if a value is a finite real number that a float can hold."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _slew(waveform: Waveform, rise_s: float) -> float:
    """Return the largest slew rate [V/s], steps from and to 0 V included."""
    steps = np.abs(np.diff(waveform.voltage, prepend=0.0, append=0.0))
    spans = np.diff(waveform.time)
    spans = np.concatenate([spans[:1], spans, spans[-1:]])
    if rise_s > 0:  # a source that jumps
        spans = np.minimum(spans, rise_s)
    with np.errstate(over="ignore"):
        return float((steps / spans).max())


def _above(
    limit: str, what: str, value: float, allowed: float | None, unit: str
) -> list[Violation]:
    # Written so that a NaN is a violation.
    if allowed is None or value <= allowed * (1.0 + _SLACK):
        return []
    return [Violation(limit=limit, value=value, allowed=allowed, unit=unit, what=what)]
