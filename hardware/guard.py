"""The guard in front of every microscope: refuses, logs and parks."""

import atexit
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import numpy as np

from grainscout.hardware.clock import SimulatedClock
from grainscout.hardware.commands import Command, Status, check_answer, largest_current
from grainscout.hardware.forwarding import Forwarding
from grainscout.hardware.geometry import Geometry
from grainscout.hardware.limits import Limits, Violation
from grainscout.hardware.protocol import (
    Capabilities,
    Clock,
    Microscope,
    Part,
    SupportsClose,
    SupportsDisplace,
    SupportsFaults,
    SupportsImageBias,
    SupportsLimitCurrent,
    SupportsLook,
    SupportsPlan,
    SupportsRescue,
)
from grainscout.hardware.signals import Interrupts, Parking
from grainscout.hardware.watchdog import Watchdog
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import LimitError, MicroscopeError
from grainscout.records.problem import CostModel
from grainscout.records.scan import Scan, Site, checked_site
from grainscout.records.supports import SupportsState, supports
from grainscout.records.waveform import Waveform

#: Lines of the command log that stay in memory; a run of a week must not grow by them.
LOG_LINES = 1_000
#: Curves in a row beyond the limit of the current that end a run, on a microscope without compliance.
MOST_OVER = 3

LimitsCurrent, LogsFaults = SupportsLimitCurrent, SupportsFaults  # earlier names


class Guard(Forwarding):
    """A microscope that refuses every command beyond its limits.

    A command that would break a limit raises LimitError before it is issued. Nothing is clipped.
    If a command fails, the microscope is parked before the error goes on. If parking fails too,
    MicroscopeError says what a person must do at the instrument. Commands of several threads are
    carried out one after another, but parking waits for none.

    During commands, and within the guard as a context manager, SIGINT, SIGTERM, SIGHUP, (Windows)
    SIGBREAK and the end of the console park. A second signal cannot interrupt the parking. At its
    end the context parks and closes. From the first command on, a watchdog process parks if this one
    dies, where the microscope supports it.

    Parameters
    ----------
    microscope : Microscope
        The microscope behind the guard.
    limits : Limits, optional
        What it must never be asked to do.
    dry_run : bool
        Check and log every command and issue none. `measure` then gives a curve whose current is
        NaN throughout, `scan` gives the image passed as `scan`, and the clock is charged with the
        expected cost.
    scan : Scan, optional
        The image that sites refer to, until one is taken through this guard.
    on_command : callable, optional
        Called with each line of the log before its command is issued. `command_file` makes one
        that writes a file.

    Attributes
    ----------
    log : deque of Command
        The latest `LOG_LINES` commands.
    issued : int
        Number of measurements issued.
    unsupported : frozenset of str
        Optional methods that the microscope lacks. See `records.supports.supports`.
    """

    def __init__(
        self,
        microscope: Microscope,
        limits: Limits | None = None,
        *,
        dry_run: bool = False,
        scan: Scan | None = None,
        on_command: Callable[[Command], None] | None = None,
    ) -> None:
        super().__init__(microscope)
        self.limits = Limits() if limits is None else limits
        self.dry_run = dry_run
        self.log: deque[Command] = deque(maxlen=LOG_LINES)
        self.issued = 0
        self._elapsed = 0.0
        self._over = 0  # curves in a row whose current was beyond its limit
        self._geometry = Geometry(scan)
        self._on_command = on_command
        self._interrupts = Interrupts()
        self._busy = threading.RLock()
        self._parking = Parking(microscope, lambda text: self._write("park", {}, "failed", text))
        self._watchdog: Watchdog | None = None
        self._exposed: defaultdict[Site, float] = defaultdict(float)  # s under bias
        self._planned = SimulatedClock(microscope.clock.now()) if dry_run else None
        self._compliant = supports(microscope, SupportsLimitCurrent)
        self._limit_current()

    @property
    def capabilities(self) -> Capabilities:
        """The microscope's capabilities."""
        return self.microscope.capabilities

    @property
    def clock(self) -> Clock:
        """The microscope's clock. In a dry run a simulated one."""
        return self._planned or self.microscope.clock

    @property
    def cost(self) -> CostModel:
        """The microscope's cost model."""
        return self.microscope.cost

    def continue_from(
        self, issued: int, elapsed_s: float, exposed_s: Mapping[Site, float] | None = None
    ) -> None:
        """Count on from an earlier part of the run, with the seconds under bias of its sites."""
        self.issued, self._elapsed = issued, elapsed_s
        self._exposed.update(exposed_s or {})

    def narrow(self, limits: Limits) -> None:
        """Take narrower limits. ConfigError if one of them is wider."""
        self.limits.require_within(limits)
        self.limits = limits
        self._limit_current()

    def _limit_current(self) -> None:
        amperes, able = self.limits.current_A, self.microscope
        if amperes is not None and supports(able, SupportsLimitCurrent):
            with self._issue("limit_current", list, amperes=amperes) as go:
                if go:
                    able.limit_current(amperes)

    # Commands.

    def check(self, site: Site, waveform: Waveform) -> list[Violation]:
        """List the limits that this measurement would break now."""
        able = self.microscope.capabilities
        found = self.limits.of_waveform(
            waveform,
            slew_factor=able.slew_factor,
            rise_s=able.rise_s,
            exposure_s=able.exposure(waveform),
            before_s=self._exposed.get(site, 0.0),
        )
        found += self.limits.of_count(self.issued)
        found += self.limits.of_time(
            self._elapsed + self.clock.now() + self._seconds(site, waveform)
        )
        return found + self._geometry.check(site, self._whole(site), self.limits)

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Measure if no limit forbids it. LimitError otherwise, and nothing is issued.

        MicroscopeError, with the tip withdrawn, if the answer is not one to this command: another
        number of samples, lost voltages, an overflow code for a current, a clock that ran back.
        """
        site = checked_site(site, error=LimitError)
        words = {
            "row": site.row,
            "column": site.column,
            "waveform": waveform.kind,
            "peak_V": waveform.peak,
            "seconds": waveform.duration,
            "key": waveform.key,
        }
        seconds = self._seconds(site, waveform)
        with self._issue("measure", lambda: self.check(site, waveform), **words) as go:
            self.issued += 1
            self._exposed[site] += self.capabilities.exposure(waveform)
            self._geometry.at = site
            if go:
                before = self.clock.now()
                curve = self.microscope.measure(self._whole(site), waveform)
                check_answer(curve, waveform, seconds=self.clock.now() - before)
                return self._within_current(curve)
        self.clock.spend(seconds)
        return IVCurve(
            voltage=waveform.voltage,
            current=np.full(len(waveform), np.nan),
            time=waveform.time - waveform.time[0],
        )

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take the image of later sites. LimitError once the time is up."""
        with self._issue("scan", self._check_image, channels=list(channels)) as go:
            if go:
                return self._geometry.take(self.microscope.scan(channels))
        if self._geometry.scan is None:
            raise MicroscopeError(
                "a dry run takes no image; give the guard the scan that it shall pretend to take"
            )
        return self._geometry.scan

    def displace(self, rows: float, columns: float) -> None:
        """Displace later sites by rows and columns [pixels] from the last image.

        A microscope that cannot is sent to the nearest whole pixel. LimitError beyond a quarter of
        the image.
        """
        check = self._geometry.too_far(rows, columns)
        with self._issue("displace", check, rows=rows, columns=columns) as go:
            self._geometry.displaced = (float(rows), float(columns))
            if go and supports(self.microscope, SupportsDisplace):
                self.microscope.displace(rows, columns)

    def plan(self, sites: Sequence[Site]) -> None:
        """Say which sites come next. Nothing is sent."""
        self.optional(SupportsPlan).plan([self._whole(s) for s in sites])

    def look(self, part: Part) -> Scan:
        """Take a fast image of a part of the last image, displaced as sites are."""
        with self._issue("look", self._check_image, part=list(part)) as go:
            if go:
                return self.optional(SupportsLook).look(part)
        raise MicroscopeError("a dry run takes no image; leave [drift] out")

    def light(self, suns: float) -> None:
        """Set the illumination [suns] if it is within its limit."""
        with self._issue("light", lambda: self.limits.of_light(suns), suns=suns) as go:
            if go:
                self.microscope.light(suns)

    def image_bias(self, volts: float) -> None:
        """Set the bias of later images [V] if it is within its limit."""
        with self._issue("image_bias", lambda: self.limits.of_bias(volts), volts=volts) as go:
            if go:
                self.optional(SupportsImageBias).image_bias(volts)

    def park(self) -> None:
        """Set 0 V and withdraw the tip, whatever another thread is doing.

        No limit forbids it and no signal interrupts it. MicroscopeError if the microscope fails twice.
        """
        with self._interrupts.held():
            try:
                self._write("park", {}, "planned" if self.dry_run else "issued")
            finally:
                if not self.dry_run:
                    self._parking.park()

    def close(self) -> None:
        """Close the microscope's connection, if it has one, and end the watchdog. Park before."""
        try:
            if supports(self.microscope, SupportsClose):
                self.microscope.close()
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
                self._watchdog = None

    def state(self) -> PackedState:
        """Return the microscope's state with the guard's own count and geometry."""
        exposed = [[*site, seconds] for site, seconds in self._exposed.items()]
        return {
            "microscope": self.optional(SupportsState).state(),
            "issued": self.issued,
            **self._geometry.state(),
            **({} if self.limits.site_s is None else {"exposed": exposed}),
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state`."""
        self.optional(SupportsState).restore(state["microscope"])
        self.issued = state["issued"]
        self._geometry.restore(state)
        self._exposed.clear()
        for row, column, seconds in state.get("exposed", ()):
            self._exposed[Site(row, column)] = seconds

    def _whole(self, site: Site) -> Site:
        """The site that a microscope is sent to: displaced here if it cannot do it itself."""
        if supports(self.microscope, SupportsDisplace):
            return site
        return self._geometry.whole(site)

    def __enter__(self) -> Self:
        self._interrupts.install()
        atexit.register(self._leave)  # an interrupt at the very start of __exit__ gets past it
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._leave()
        finally:
            atexit.unregister(self._leave)
            self._interrupts.remove()

    def _leave(self) -> None:
        self.park()
        self.close()  # not if parking failed: the watchdog shall try, too, once this process ends

    @contextmanager
    def _issue(
        self, name: str, check: Callable[[], Sequence[Violation]], **arguments: Any
    ) -> Iterator[bool]:
        """Refuse, or log a command, run it (unless dry), and park if anything is raised meanwhile."""
        with self._busy, self._interrupts.watched():
            self._refuse(name, arguments, check)
            if self.dry_run:
                self._write(name, arguments, "planned")
                yield False
                return
            self._watch()
            try:
                self._write(name, arguments, "issued")
                yield True
            except BaseException as error:
                try:
                    self._write(name, arguments, "failed", f"{type(error).__name__}: {error}")
                finally:
                    self.park()
                raise

    def _watch(self) -> None:
        """Start the watchdog, or see that it is there."""
        if self._watchdog is not None:
            self._watchdog.check()
        elif supports(self.microscope, SupportsRescue) and (jobs := self.microscope.rescues()):
            self._watchdog = Watchdog(jobs)

    def _refuse(
        self, name: str, words: dict[str, Any], check: Callable[[], Sequence[Violation]]
    ) -> None:
        try:
            found = check()
            if found:
                raise LimitError(
                    f"{name} refused: {'; '.join(map(str, found))}. The command was not issued; "
                    "change it, or the limit if it is wrong"
                )
        except LimitError as error:
            self._write(name, words, "refused", str(error))
            raise

    def _check_image(self) -> list[Violation]:
        found = self.limits.of_time(self._elapsed + self.clock.now())
        return found + self.limits.of_bias(self.capabilities.scan_bias_V)

    def _within_current(self, curve: IVCurve) -> IVCurve:
        """Flag what a microscope without compliance let flow. LimitError if it comes again and again."""
        broken = [] if self._compliant else self.limits.of_current(largest_current(curve))
        self._over = self._over + 1 if broken else 0
        if not broken:
            return curve
        message = (
            f"{broken[0]}. This microscope cannot limit its current; the tip was withdrawn after "
            "the curve"
        )
        if self._over >= MOST_OVER:
            raise LimitError(f"{self._over} curves in a row: {message}")
        self._write("measure", {}, "failed", message)
        self.park()
        over = np.abs(curve.current) > (self.limits.current_A or np.inf)
        return replace(curve, saturated=curve.saturated | over)

    def _seconds(self, site: Site, waveform: Waveform) -> float:
        """Expected duration of a measurement [s]."""
        cost = replace(self.microscope.cost, sweep=waveform.duration)
        return float(cost.seconds(self._geometry.distance(site)))

    def _write(
        self, name: str, arguments: Mapping[str, Any], status: Status, message: str = ""
    ) -> None:
        line = Command(
            time_s=self.clock.now(),
            name=name,
            arguments=dict(arguments),
            status=status,
            message=message,
        )
        self.log.append(line)
        if self._on_command is not None:
            self._on_command(line)
