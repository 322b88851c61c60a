"""Sites that follow a drifting sample, by small images registered against the first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from grainscout.analysis.registration import Registration, register, richest_part
from grainscout.hardware.protocol import Microscope, Part, SupportsDisplace, SupportsLook
from grainscout.journal import Event
from grainscout.records import ConfigError, JournalError, MicroscopeError, Scan
from grainscout.records.supports import supports

#: Kind of the events that hold an estimate.
DRIFT = "drift"
#: Least quality of a registration that is believed.
MIN_QUALITY = 0.8
_FITTED = 8  # latest estimates that give the velocity
_FRAME = 0.01  # by which pixel size (relative) and angle [rad] may differ from the first image's


@dataclass(frozen=True, kw_only=True)
class DriftSettings:
    """When to look for drift, and what to believe."""

    every_curves: int = 5  #: Measurements between two looks. 0 to look by time only
    every_s: float | None = None  #: Seconds between two looks [s]
    part_px: int = 24  #: Side of the small image [pixels]
    min_quality: float = MIN_QUALITY  #: Least correlation of the small image with the first one

    def __post_init__(self) -> None:
        if self.every_curves < (self.every_s is None):
            raise ConfigError(
                f"drift every_curves must be at least 1, or 0 beside every_s; got {self.every_curves}"
            )
        if self.every_s is not None and not self.every_s > 0:
            raise ConfigError(f"drift every_s must be > 0 s; got {self.every_s}")
        if self.part_px < 8 or not 0.0 < self.min_quality < 1.0:
            raise ConfigError(
                "drift part_px must be at least 8 pixels and min_quality between 0 and 1; got "
                f"{self.part_px} and {self.min_quality}"
            )


class Estimate(NamedTuple):
    """Displacement [pixels] that brings sites back to where the first image showed them."""

    time_s: float
    outcomes: int
    rows: float
    columns: float


class DriftTracker:
    """Looks when it is time, and displaces each site by what is extrapolated.

    That is the latest look's displacement plus the velocity of the latest eight times the seconds since.
    """

    def __init__(
        self,
        settings: DriftSettings,
        microscope: Microscope,
        scan: Scan,
        record: Callable[..., None],
    ) -> None:
        if not (supports(microscope, SupportsLook) and supports(microscope, SupportsDisplace)):
            raise ConfigError(
                "[drift] needs a microscope that can look at a part of its image again; this one "
                "cannot. Leave [drift] out"
            )
        if settings.part_px > min(scan.shape):
            raise ConfigError(
                f"drift part_px must be at most the image's smaller side, {min(scan.shape)}; got "
                f"{settings.part_px}"
            )
        self._settings, self._record = settings, record
        self._look, self._displace = microscope.look, microscope.displace
        self._image, self._name = scan.image, scan.image_name
        self._part = Part(*richest_part(scan.image, settings.part_px), *2 * (settings.part_px,))
        self._estimates: list[Estimate] = []
        self._displaced = (0.0, 0.0)

    def follow(self, outcomes: int, now: Callable[[], float]) -> None:
        """Look if it is time, and displace the next site. MicroscopeError if the place is lost."""
        if self._due(outcomes, now()):
            self._estimate(outcomes, now)
        self._move_to(*self.predicted(now()))

    def predicted(self, now: float) -> tuple[float, float]:
        """Displacement at a time [pixels]."""
        known = np.array(self._estimates[-_FITTED:])
        if not len(known):
            return self._displaced
        latest, velocity = known[-1], np.zeros(2)
        times = known[:, 0] - latest[0]
        if len(known) > 2 and np.ptp(times) > 0:
            velocity = np.polyfit(times, known[:, 2:], 1)[0]
        rows, columns = latest[2:] + velocity * (now - latest[0])
        return float(rows), float(columns)

    def begin(self, rows: float, columns: float) -> None:
        """Start from a displacement that is set already."""
        self._displaced = (rows, columns)

    def resume(self, events: Sequence[Event], outcomes: int) -> None:
        """Take up the estimates of a journal. One that no curve followed is made again."""
        kept = [e.detail for e in events if e.kind == DRIFT and e.detail["outcomes"] < outcomes]
        self._estimates = [Estimate(*(d[name] for name in Estimate._fields)) for d in kept]

    def _due(self, outcomes: int, now: float) -> bool:
        if not self._estimates:
            return True
        latest, settings = self._estimates[-1], self._settings
        by_count = 0 < settings.every_curves <= outcomes - latest.outcomes
        return by_count or (
            settings.every_s is not None and now - latest.time_s >= settings.every_s
        )

    def _estimate(self, outcomes: int, now: Callable[[], float]) -> None:
        self._move_to(*self.predicted(now()))
        part = self._part
        for attempt in (part, _wider(part, self._image.shape)):
            begun = now()
            image = self._look(attempt).channel(self._name)
            time_s = 0.5 * (begun + now())
            found = register(self._image, image, (attempt.row, attempt.column))
            seen = (found.rows - attempt.row, found.columns - attempt.column)
            rows, columns = (a - b for a, b in zip(self._displaced, seen, strict=True))
            if found.quality >= self._settings.min_quality:
                estimate = Estimate(time_s, outcomes, rows, columns)
                self._estimates.append(estimate)
                self._record(DRIFT, **estimate._asdict(), quality=found.quality)
                return
        self._record("drift lost", outcomes=outcomes, quality=found.quality)
        raise MicroscopeError(
            f"the place is lost: the small image and the first one correlate by {found.quality:.2f}, "
            f"less than min_quality = {self._settings.min_quality:g}. Look at the tip and the frame, "
            "then resume: a new image is taken then"
        )

    def _move_to(self, rows: float, columns: float) -> None:
        self._displace(rows, columns)
        self._displaced = (rows, columns)


def _wider(part: Part, shape: Sequence[int]) -> Part:
    """A part of twice the side, as far as the image reaches."""
    sides = [min(2 * part.rows, shape[0]), min(2 * part.columns, shape[1])]
    middle = (part.row + part.rows // 2, part.column + part.columns // 2)
    first = [
        min(max(0, m - side // 2), size - side)
        for m, side, size in zip(middle, sides, shape, strict=True)
    ]
    return Part(first[0], first[1], sides[0], sides[1])


def carry_over(microscope: Microscope, scan: Scan, least: float = MIN_QUALITY) -> Registration:
    """Take a new image and displace earlier sites to it. JournalError if it correlates under `least`."""
    if not supports(microscope, SupportsDisplace):
        raise JournalError("a run is resumed on this microscope through a hardware.Guard only")
    new = microscope.scan([scan.image_name])
    frames = [
        (s.shape, *(1e9 * p for p in s.pixel_size), math.degrees(s.angle)) for s in (scan, new)
    ]
    same = scan.shape == new.shape and np.allclose(
        scan.pixel_size, new.pixel_size, rtol=_FRAME, atol=0
    )
    if not (same and abs(scan.angle - new.angle) <= _FRAME):
        before, after = (
            f"{s[0]} pixels of {s[1]:.4g} x {s[2]:.4g} nm at {s[3]:.3g} degrees" for s in frames
        )
        raise JournalError(
            f"a resumed run must have the frame of its first image, {before}; the microscope has "
            f"{after}. Set the frame back, then resume"
        )
    found = register(scan.image, new.channel(scan.image_name))
    if found.quality < least:
        raise JournalError(
            "the new image must show the place of the first one; they correlate by "
            f"{found.quality:.2f} where {least:g} is needed. Move the frame to the old place (report "
            "shows the first image) or start a new run"
        )
    microscope.displace(-found.rows, -found.columns)
    return found
