"""Movers of makers whose software saves its images as files.

They image and place the tip, and a meter measures. Landings and withdrawals are confirmed as the maker's
`Control` can tell. Y points up at the instruments and down here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from grainscout.hardware.adapters.lock import InstrumentLock
from grainscout.hardware.adapters.saved import SaveFolder
from grainscout.hardware.adapters.shared import (
    RealMicroscope,
    from_centre,
    known_channels,
    positive,
    refuse_stopped,
    wait_still,
)
from grainscout.hardware.adapters.time_limit import Worker
from grainscout.hardware.protocol import Capabilities
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, MicroscopeError
from grainscout.records.problem import CostModel
from grainscout.records.scan import Scan, Site
from grainscout.records.waveform import Waveform


@dataclass(frozen=True, kw_only=True)
class MoverOptions:
    """Options of these movers."""

    folder: str  #: Where the software saves its images. Nobody else may save there during a run
    stable_s: float = 0.5  #: The tip rests when it kept still for so long [s]
    land_timeout_s: float = 120.0  #: Longest landing [s]
    withdraw_timeout_s: float = 60.0  #: Longest withdrawal [s]
    arrival_s: float = 30.0  #: Longest move [s]
    speed_m_per_s: float = 1e-6  #: Expected speed of moves, for the cost alone [m/s]
    timeout_s: float = 10.0  #: Of one command [s]
    scan_timeout_s: float = 3600.0  #: Of one image [s]

    def __post_init__(self) -> None:
        positive(**{name: value for name, value in vars(self).items() if name != "folder"})


class Control(Protocol):
    """A maker's commands, made and used in one thread. `errors` are what its package raises."""

    name: str
    errors: tuple[type[Exception], ...]
    still: float  #: By which `rest` may change while the tip rests
    rescue: str  #: What a person does when parking failed

    def frame(self) -> tuple[float, float, float, float, float]:
        """Centre x, y, width and height of the frame [m], and its rotation [degrees]."""

    def image(self) -> None:
        """Begin one image."""

    def stop(self) -> None:
        """Stop the image, and set 0 V where that can be set."""

    def withdraw(self) -> None:
        """Withdraw."""

    def land(self) -> None:
        """Land."""

    def rest(self) -> tuple[float, bool, bool]:
        """Return a value that rests with the tip, whether it is up, and whether it touches."""

    def move(self, x: float, y: float) -> None:
        """Go to a place [m]."""

    def where(self) -> tuple[float, float]:
        """Return the place [m]."""

    def close(self) -> None:
        """Close the connection, once or again."""


class SavingMover(RealMicroscope):
    """Image, place and park by a `Control`, with images from files of this suffix."""

    def __init__(self, control: Callable[[], Control], how: MoverOptions, suffix: str) -> None:
        super().__init__()
        self._how, self._files = how, SaveFolder(how.folder, suffix)
        self._lock = InstrumentLock(f"the software that saves in {Path(how.folder).resolve()}")
        self._lock.take()
        self._worker = Worker("the instrument's software")
        self._up, self._landings = False, 0
        try:
            self._control: Control = self._worker.call(control, how.timeout_s)
        except (ConfigError, MicroscopeError):
            self._lock.give()
            raise

    @property
    def capabilities(self) -> Capabilities:
        """Height images. Any site."""
        how = self._how
        patience = how.scan_timeout_s + how.land_timeout_s + 2 * how.withdraw_timeout_s
        return Capabilities(patience_s=patience, rescue=self._control.rescue)

    @property
    def cost(self) -> CostModel:
        """Travel as configured. 5 s for landing and withdrawal."""
        return CostModel(speed=self._how.speed_m_per_s, settle=self._how.stable_s, overhead=5.0)

    def settings(self) -> PackedState:
        """The maker."""
        return {"mover": self._control.name}

    def contact(self) -> bool:
        """Tell if the tip is not confirmed to be up."""
        return not self._up

    def landings(self) -> int:
        """Number of confirmed landings."""
        return self._landings

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Land, take one image and read its file. DataError for an unknown channel."""
        known_channels(channels, self.capabilities.channels)
        self._files.mark()
        self._do(self._control.stop)
        self._land()
        self._do(self._control.image)
        image = self._files.image(self._how.scan_timeout_s)
        self.park()
        frame = self._do(self._control.frame)
        size = [n * step for n, step in zip(image.shape, image.pixel_size, strict=True)]
        same = all(
            math.isclose(a, b, rel_tol=0.02) for a, b in zip(size, frame[3:1:-1], strict=True)
        )
        if frame[4] or not same or "height" not in image.channels:
            raise MicroscopeError(
                "the saved image must be a height image of the frame, whose rotation must be 0; it has "
                f"{', '.join(image.channels)} on {size[1]:.4g} x {size[0]:.4g} m, and the frame is "
                f"{frame[2]:.4g} x {frame[3]:.4g} m at {frame[4]:g} degrees"
            )
        refuse_stopped(image.channels, channels)
        heights, about = {"height": image.channel("height")}, {"source": self._control.name}
        self._frame = from_centre(heights, {"height": "m"}, frame, {**image.metadata, **about})
        return self._frame

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Raise MicroscopeError: it has no meter."""
        raise MicroscopeError(f"{self._control.name} is a mover here; name a meter beside it")

    def go(self, site: Site) -> None:
        """Withdraw, move, check the arrival, and land, each confirmed."""
        frame, (x, y) = self._place(site)
        self._do(self._control.stop)
        self._withdraw()
        self._do(lambda: self._control.move(x, -y), self._how.arrival_s)
        there = self._do(self._control.where)
        off = math.dist(there, (x, -y))
        if not off <= 0.5 * min(frame.pixel_size):
            raise MicroscopeError(
                f"the tip must arrive within half a pixel of ({x:.4g}, {-y:.4g}) m; it is {off:.3g} m off"
            )
        self._land()

    def park(self) -> None:
        """Stop and withdraw, the second even if the first fails."""
        try:
            self._do(self._control.stop)
        finally:
            self._withdraw()

    def close(self) -> None:
        """Close the connection and let others use the instrument. Park before."""
        try:
            self._do(self._control.close)
        finally:
            self._lock.give()

    def _withdraw(self) -> None:
        seconds = self._how.withdraw_timeout_s
        self._do(self._control.withdraw, seconds)
        self._rest(1, f"be off the sample within {seconds:g} s (withdraw_timeout_s)", seconds)
        self._up = True

    def _land(self) -> None:
        seconds = self._how.land_timeout_s
        self._up = False
        self._do(self._control.land, seconds)
        self._rest(2, f"touch the sample within {seconds:g} s (land_timeout_s)", seconds)
        self._landings += 1

    def _rest(self, state: int, must: str, seconds: float) -> None:
        """Wait until the tip is up (1), or touches (2), and rests."""

        def read() -> tuple[float]:
            now = self._do(self._control.rest)
            return (now[0] if now[state] else math.nan,)

        stable = {"stable_s": self._how.stable_s, "most": self._control.still}
        wait_still(read, must, timeout_s=seconds, **stable)

    def _do(self, call: Callable[[], Any], timeout: float | None = None) -> Any:
        try:
            return self._worker.call(call, self._how.timeout_s if timeout is None else timeout)
        except self._control.errors as error:
            raise MicroscopeError(f"{self._control.name} must obey; got {error!r}") from error
