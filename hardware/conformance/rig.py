"""Microscopes, time limits and small helpers of the conformance suite."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from grainscout.hardware.protocol import Microscope, SupportsClose
from grainscout.records.arrays import FloatArray, IntArray
from grainscout.records.curve import IVCurve
from grainscout.records.errors import MISTAKES, MicroscopeError, NotChecked
from grainscout.records.scan import Scan, Site
from grainscout.records.supports import supports
from grainscout.records.waveform import Waveform

#: Attempts at a measurement: approaches may fail now and then without breaking the protocol.
_ATTEMPTS = 6


@dataclass(kw_only=True)
class CheckSetup:
    """Source of fresh microscopes, and what is known of the sample. See `check_microscope`."""

    factory: Callable[[], Microscope]
    waveform: Waveform | None = None
    scan: Scan | None = None
    peak_current: FloatArray | None = None
    _made: list[Microscope] = field(default_factory=list)
    _image: Scan | None = None

    def make(self) -> Microscope:
        """Make a fresh microscope if it is simulated. A real one is opened once."""
        if self._made and not self._made[0].capabilities.simulated:
            return self._made[0]
        self._made.append(self.factory())
        return self._made[-1]

    def start(self) -> tuple[Microscope, tuple[int, int], Waveform]:
        """Return a microscope with an image, its shape, and the waveform to apply."""
        microscope = self.make()
        return microscope, self.image(microscope).shape, self.bias(microscope)

    def finish(self) -> None:
        """Park and close all microscopes."""
        failed: Exception | None = None
        while self._made:
            microscope = self._made.pop()
            try:
                microscope.park()
                if supports(microscope, SupportsClose):
                    microscope.close()
            except MISTAKES as error:
                failed = error
        if failed is not None:
            raise failed

    def end(self) -> None:
        """End a check: simulated microscopes are parked."""
        if self._made and self._made[0].capabilities.simulated:
            self.finish()

    def bias(self, microscope: Microscope) -> Waveform:
        """Return the waveform to apply."""
        own = microscope.capabilities.waveform
        return own or self.waveform or Waveform.triangle(1.0, 51, 0.5)

    def image(self, microscope: Microscope) -> Scan:
        """Take an image: of a real microscope one, with all channels."""
        able = microscope.capabilities
        if able.simulated:
            return microscope.scan(able.channels[:1])
        if self._image is None:
            self._image = microscope.scan(able.channels)
        return self._image

    def sites(self, microscope: Microscope, shape: tuple[int, int], count: int = 3) -> list[Site]:
        """Return up to `count` different sites that can be measured, well spread."""
        able = microscope.capabilities.sites
        if able is None:
            able = np.argwhere(np.ones(shape, bool))
        # Golden-ratio steps: spread over rows and columns alike, and never all on one diagonal.
        picks = np.unique((np.arange(1, count + 1) * 0.6180339887 % 1.0 * len(able)).astype(int))
        return [Site(int(r), int(c)) for r, c in able[picks]]

    def measure(self, microscope: Microscope, site: Site, waveform: Waveform) -> IVCurve:
        """Measure, trying again after a failed approach."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                return microscope.measure(site, waveform)
            except MicroscopeError:
                microscope.park()
                if not left:
                    raise
        raise MicroscopeError("no attempt at a measurement was made")


def refuses(
    what: str, kinds: tuple[type[Exception], ...], call: Callable[..., object], *arguments: object
) -> Iterator[str]:
    """Yield a problem unless the call raises one of these errors."""
    names = " or ".join(k.__name__ for k in kinds)
    try:
        call(*arguments)
    except kinds:
        return
    except MISTAKES as error:
        yield f"{what} must raise {names}; it raised {type(error).__name__}: {error}"
        return
    yield f"{what} must raise {names}; it was accepted"


def rails(curve: IVCurve) -> Iterator[str]:
    """Yield the problems of a curve's saturation flags."""
    size = np.abs(curve.current)
    if not curve.saturated.any():
        return
    rails = np.unique(size[curve.saturated])
    if np.isnan(rails).any() or rails.size > 2:
        yield f"saturated samples must be at the rail; got {rails[:4]} A"
    elif float(np.nanmax(size[~curve.saturated], initial=0.0)) >= rails.max():
        yield f"samples at the rail ({rails.max():g} A) must be flagged"


def oriented(what: str, sites: IntArray, values: FloatArray, truth: FloatArray) -> Iterator[str]:
    """Yield a problem unless `values` (n,) fit the pattern best in its own orientation."""
    turned = {
        "as it is": truth,
        "upside down": truth[::-1],
        "mirrored": truth[:, ::-1],
        "rotated by 180 degrees": truth[::-1, ::-1],
    }
    if truth.shape[0] == truth.shape[1]:
        turned |= {f"{k} with rows and columns swapped": v.T for k, v in list(turned.items())}
    fits = {}
    for name, pattern in turned.items():
        expected = pattern[sites[:, 0], sites[:, 1]]
        flat = np.ptp(expected) == 0 or np.ptp(values) == 0
        fits[name] = 0.0 if flat else float(np.corrcoef(expected, values)[0, 1])
    best = max(fits, key=lambda k: fits[k])
    if best != "as it is" or fits[best] < 0.25:
        yield (
            f"{what} must have the sample's orientation; it fits best {best} (correlation "
            f"{fits[best]:.2f}, as it is {fits['as it is']:.2f})"
        )


class Late(Exception):
    """A check that still hangs."""


def in_time(call: Callable[[], list[str]], seconds: float) -> list[str]:
    """Run `call` in a daemon thread, as a hung one cannot be stopped; its problems, Late or NotChecked."""
    result: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            result.extend(call())
        except MISTAKES as error:
            result.append(f"raised {type(error).__name__}: {error}")
        except BaseException as error:  # noqa: BLE001  it is raised in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Late(f"must return within {seconds:g} s; it still hangs")
    if failed and isinstance(failed[0], NotChecked):
        raise failed[0]
    return [f"raised {type(failed[0]).__name__}: {failed[0]}"] if failed else result
