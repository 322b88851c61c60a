"""The guard in front of every microscope: refuses, logs and parks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self, TypeVar

import numpy as np

from grainscout.hardware.answers import check_answer, largest_current
from grainscout.hardware.clock import SimulatedClock
from grainscout.hardware.commands import Command, Status
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
    SupportsLimitCurrent,
    SupportsLook,
    SupportsWear,
)
from grainscout.hardware.signals import Interrupts
from grainscout.records import (
    CostModel,
    IVCurve,
    LimitError,
    MicroscopeError,
    PackedState,
    Scan,
    Site,
    Waveform,
)
from grainscout.records.scan import checked_site
from grainscout.records.supports import SupportsState, supports

#: Lines of the command log that stay in memory; a run of a week must not grow by them.
LOG_LINES = 1_000

#: Optional protocols whose methods a guard forwards to its microscope.
_FORWARDED: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {
        SupportsState: ("state", "restore"),
        SupportsWear: ("wear",),
        SupportsFaults: ("faults",),
        SupportsLook: ("look",),
    }
)

# Earlier names.
LimitsCurrent = SupportsLimitCurrent
LogsFaults = SupportsFaults

T = TypeVar("T")


class Guard:
    """A microscope that refuses every command beyond its limits.

    A command that would break a limit raises LimitError before it is issued. Nothing is clipped.
    If a command fails, the microscope is parked before the error goes on. If parking fails too,
    MicroscopeError asks to withdraw the tip by hand.

    As a context manager the guard also parks and closes at the end, and parks on SIGINT, SIGTERM
    and (Windows) SIGBREAK. A second signal cannot interrupt the parking.

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
        self.microscope = microscope
        self.limits = Limits() if limits is None else limits
        self.dry_run = dry_run
        self.log: deque[Command] = deque(maxlen=LOG_LINES)
        self.issued = 0
        self._elapsed = 0.0
        self._geometry = Geometry(scan)
        self._on_command = on_command
        self._interrupts = Interrupts()
        self._planned = SimulatedClock(microscope.clock.now()) if dry_run else None
        self.unsupported = frozenset(
            name
            for protocol, names in _FORWARDED.items()
            if not supports(microscope, protocol)
            for name in names
        )
        self._compliant = supports(microscope, SupportsLimitCurrent)
        if self.limits.current_A is not None and supports(microscope, SupportsLimitCurrent):
            with self._issue("limit_current", amperes=self.limits.current_A) as go:
                if go:
                    microscope.limit_current(self.limits.current_A)

    # Properties of the microscope.

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

    def continue_from(self, issued: int, elapsed_s: float) -> None:
        """Count on from an earlier part of the run."""
        self.issued, self._elapsed = issued, elapsed_s

    # Commands.

    def check(self, site: Site, waveform: Waveform) -> list[Violation]:
        """List the limits that this measurement would break now."""
        factor = self.microscope.capabilities.slew_factor
        found = self.limits.of_waveform(waveform, slew_factor=factor)
        found += self.limits.of_count(self.issued)
        found += self.limits.of_time(
            self._elapsed + self.clock.now() + self._seconds(site, waveform)
        )
        return found + self._geometry.check(site, self.limits)

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
        self._refuse("measure", words, lambda: self.check(site, waveform))
        seconds = self._seconds(site, waveform)
        with self._issue("measure", **words) as go:
            self.issued += 1
            self._geometry.at = site
            if go:
                before = self.clock.now()
                curve = self.microscope.measure(self._whole(site), waveform)
                check_answer(curve, waveform, seconds=self.clock.now() - before)
                self._check_current(curve)
                return curve
        self.clock.spend(seconds)
        return IVCurve(
            voltage=waveform.voltage,
            current=np.full(len(waveform), np.nan),
            time=waveform.time - waveform.time[0],
        )

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take the image of later sites. LimitError once the time is up."""
        words = {"channels": list(channels)}
        self._refuse("scan", words, lambda: self.limits.of_time(self._elapsed + self.clock.now()))
        with self._issue("scan", channels=list(channels)) as go:
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
        words = {"rows": rows, "columns": columns}
        self._refuse("displace", words, self._geometry.too_far(rows, columns))
        with self._issue("displace", **words) as go:
            self._geometry.displaced = (float(rows), float(columns))
            if go and supports(self.microscope, SupportsDisplace):
                self.microscope.displace(rows, columns)

    def look(self, part: Part) -> Scan:
        """Take a fast image of a part of the last image, displaced as sites are."""
        words = {"part": list(part)}
        self._refuse("look", words, lambda: self.limits.of_time(self._elapsed + self.clock.now()))
        with self._issue("look", **words) as go:
            if go:
                return self._optional(SupportsLook).look(part)
        raise MicroscopeError("a dry run takes no image; leave [drift] out")

    def light(self, suns: float) -> None:
        """Set the illumination [suns] if it is within its limit."""
        self._refuse("light", {"suns": suns}, lambda: self.limits.of_light(suns))
        with self._issue("light", suns=suns) as go:
            if go:
                self.microscope.light(suns)

    def park(self) -> None:
        """Set 0 V and withdraw the tip.

        No limit forbids it and no signal interrupts it. MicroscopeError if the microscope fails twice.
        """
        with self._interrupts.held():
            try:
                self._write("park", {}, "planned" if self.dry_run else "issued")
            finally:
                if not self.dry_run:
                    self._withdraw()

    def close(self) -> None:
        """Close the microscope's connection, if it has one. Park before."""
        if supports(self.microscope, SupportsClose):
            self.microscope.close()

    # Optional methods; `unsupported` names those that the microscope lacks.

    def wear(self) -> float:
        """Return the tip's wear. MicroscopeError if the microscope does not know it."""
        return self._optional(SupportsWear).wear()

    def faults(self) -> list[PackedState]:
        """Return the microscope's faults. MicroscopeError if it does not log them."""
        return self._optional(SupportsFaults).faults()

    def state(self) -> PackedState:
        """Return the microscope's state with the guard's own count and geometry."""
        return {
            "microscope": self._optional(SupportsState).state(),
            "issued": self.issued,
            **self._geometry.state(),
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state`."""
        self._optional(SupportsState).restore(state["microscope"])
        self.issued = state["issued"]
        self._geometry.restore(state)

    def _whole(self, site: Site) -> Site:
        """The site that a microscope is sent to: displaced here if it cannot do it itself."""
        if supports(self.microscope, SupportsDisplace):
            return site
        return self._geometry.whole(site)

    def _optional(self, protocol: type[T]) -> T:
        microscope: object = self.microscope
        if supports(microscope, protocol):
            return microscope
        raise MicroscopeError(
            f"this method needs a microscope that {protocol.__name__}; {type(microscope).__name__} does not"
        )

    def _withdraw(self) -> None:
        try:
            self.microscope.park()
        except Exception as error:  # noqa: BLE001 - whatever it is, parking is tried again
            try:
                self._write("park", {}, "failed", f"{type(error).__name__}: {error}; once more")
            finally:  # a log that cannot be written stops no parking
                self._withdraw_again()

    def _withdraw_again(self) -> None:
        try:
            self.microscope.park()
        except Exception as error:
            message = (
                f"PARKING FAILED ({error}): the tip may be in contact and under bias; withdraw it "
                "by hand"
            )
            self._write("park", {}, "failed", message)
            raise MicroscopeError(message) from error

    def __enter__(self) -> Self:
        self._interrupts.install()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.park()
            self.close()
        finally:
            self._interrupts.remove()

    # Logging, refusing, parking.

    @contextmanager
    def _issue(self, name: str, **arguments: Any) -> Iterator[bool]:
        """Log a command, run it (unless dry), and park if anything is raised meanwhile."""
        if self.dry_run:
            self._write(name, arguments, "planned")
            yield False
            return
        try:
            self._write(name, arguments, "issued")
            yield True
        except BaseException as error:
            try:
                self._write(name, arguments, "failed", f"{type(error).__name__}: {error}")
            finally:
                self.park()
            raise

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

    def _check_current(self, curve: IVCurve) -> None:
        """Refuse afterwards what a microscope without compliance let flow."""
        broken = [] if self._compliant else self.limits.of_current(largest_current(curve))
        if broken:
            raise LimitError(
                f"{broken[0]}. This microscope cannot limit its current; the tip was withdrawn after "
                "the curve"
            )

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
