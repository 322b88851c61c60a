"""The conformance suite passes good microscopes, and names the fault of each bad one."""

import itertools
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from grainscout.hardware import Capabilities, SimulatedMicroscope, check_microscope
from grainscout.hardware.conformance import require_conforming
from grainscout.hardware.protocol import Part
from grainscout.records import IVCurve, MicroscopeError, PackedState, Scan, Site, Waveform
from grainscout.simulator import Film, FilmSpec

SEED = np.random.SeedSequence(31)
WAVEFORM = Waveform.triangle(1.4, 51, 0.5)
LIGHT = 0.1


@pytest.fixture(scope="module")
def film() -> Film:
    return Film.generate(FilmSpec(rows=32, columns=40), 4)


@pytest.fixture(scope="module")
def square() -> Film:
    return Film.generate(FilmSpec(rows=36, columns=36), 4)


def known(film: Film) -> dict[str, object]:
    """What a calibration sample tells: its image, and where it conducts."""
    return {
        "scan": film.scan(),
        "peak_current": film.property_map(lambda c: abs(c).max(1), WAVEFORM, light=LIGHT),
        "waveform": WAVEFORM,
    }


def failures(film: Film, kind: type[SimulatedMicroscope], spec: str = "quiet") -> dict[str, str]:
    results = check_microscope(
        lambda: kind(film, spec, seed=SEED, light=LIGHT), seconds=20.0, **known(film)
    )
    return {r.name: r.message for r in results if not r.passed}


def test_even_a_microscope_full_of_faults_keeps_the_protocol(film):
    # Its image and its sites are displaced by drift: nothing is known of the sample.
    require_conforming(
        lambda: SimulatedMicroscope(film, "all-severe", seed=SEED, light=LIGHT), waveform=WAVEFORM
    )


@pytest.mark.parametrize("spec", ["ideal", "quiet", "reference", "all-mild"])
def test_simulated_microscopes_conform(film, spec):
    assert failures(film, SimulatedMicroscope, spec) == {}


def sited(change) -> type[SimulatedMicroscope]:
    """A microscope that measures at another site, given the site and the film's shape."""

    class Elsewhere(SimulatedMicroscope):
        def measure(self, site: Site, waveform: Waveform) -> IVCurve:
            return super().measure(Site(*change(*site, *self.instrument.film.shape)), waveform)

    return Elsewhere


def imaged(change) -> type[SimulatedMicroscope]:
    """A microscope whose images come back changed."""

    class Imaged(SimulatedMicroscope):
        def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
            image = super().scan(channels)
            return replace(image, **change(image))

    return Imaged


def altered(change) -> type[SimulatedMicroscope]:
    """A microscope whose curves come back changed."""

    class Altered(SimulatedMicroscope):
        def measure(self, site: Site, waveform: Waveform) -> IVCurve:
            curve = super().measure(site, waveform)
            return replace(curve, **change(curve))

    return Altered


def channels(change):
    return lambda image: {"channels": {k: change(v) for k, v in image.channels.items()}}


def half_flagged(curve: IVCurve) -> dict[str, np.ndarray]:
    """Saturates, and flags only half of it."""
    rail = 0.5 * float(np.abs(curve.current).max())
    flags = curve.current >= rail
    flags[: len(flags) // 2] = False
    return {"current": np.clip(curve.current, -rail, rail), "saturated": flags}


def restless(curve: IVCurve, count=itertools.count(1)) -> dict[str, np.ndarray]:  # noqa: B008
    """Noise from a global source."""
    return {"current": curve.current + 1e-12 * next(count)}


Transposed = sited(lambda row, column, *_: (column, row))
Nanometres = imaged(channels(lambda v: v * 1e9))


class LooksUpsideDown(SimulatedMicroscope):
    """Its small images are the other way round."""

    def look(self, part: Part) -> Scan:
        image = super().look(part)
        return replace(image, channels={k: v[::-1] for k, v in image.channels.items()})


class Unbounded(SimulatedMicroscope):
    """Ignores its compliance."""

    def limit_current(self, amperes: float) -> None:
        pass


class DarkButSilent(SimulatedMicroscope):
    """Has no lamp and takes every setting."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, light=False)

    def light(self, suns: float) -> None:
        pass


class Free(SimulatedMicroscope):
    """Charges nothing for its sweeps."""

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        before = self.clock.now()
        curve = super().measure(site, waveform)
        self.clock = type(self.clock)(before)
        return curve


class Forgetful(SimulatedMicroscope):
    """Its stored state leaves out the visits."""

    def state(self) -> PackedState:
        return super().state() | {"visits": np.zeros((0, 3), np.int64)}


class Healing(SimulatedMicroscope):
    """A tip whose wear goes down."""

    def wear(self) -> float:
        return 1.0 / (1.0 + self.clock.now())


class Hanging(SimulatedMicroscope):
    def light(self, suns: float) -> None:
        time.sleep(1.0)


class OneUse(SimulatedMicroscope):
    """Cannot be used again after parking."""

    parked = 0

    def park(self) -> None:
        self.parked += 1
        super().park()

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        if self.parked > 6:
            raise MicroscopeError("the controller is closed")
        return super().measure(site, waveform)


FAULTS = {
    "origin bottom left": (
        sited(lambda row, column, rows, _: (rows - 1 - row, column)),
        "orientation",
        "fits best upside down",
    ),
    "mirrored image": (
        imaged(channels(lambda v: v[:, ::-1])),
        "orientation",
        "scan height .* fits best mirrored",
    ),
    "nanometres": (Nanometres, "image", "height must be in m"),
    "nanometre pixels": (
        imaged(lambda _: {"pixel_size": (20.0, 20.0)}),
        "image",
        "pixel_size is in metres",
    ),
    "voltage before the gain": (
        altered(lambda c: {"voltage": 0.1 * c.voltage}),
        "curve",
        "voltage must be the waveform's at the sample",
    ),
    "nanoamperes": (
        altered(lambda c: {"current": 1e9 * c.current}),
        "curve",
        "current must be in amperes",
    ),
    "overflow code": (
        altered(lambda c: {"current": np.where(c.voltage > 1.0, 9.91e37, 0.0)}),
        "curve",
        "current must be in amperes",
    ),
    "milliseconds": (altered(lambda c: {"time": 1e3 * c.time}), "curve", "time must span"),
    "half flagged": (altered(half_flagged), "saturation", "must be flagged"),
    "unbounded": (Unbounded, "saturation", "compliance .* must hold"),
    "clamped sites": (
        sited(lambda r, c, rows, columns: (min(max(r, 0), rows - 1), min(max(c, 0), columns - 1))),
        "grid edges",
        "row 32, column 0 of 32 x 40 must raise",
    ),
    "looks": (LooksUpsideDown, "look", "a look must have the sample's orientation"),
    "dark but silent": (DarkButSilent, "light", "without a lamp must raise"),
    "free": (Free, "clock", "must take its 0.5 s"),
    "restless": (altered(restless), "repeatability", "must give the same curve"),
    "forgetful": (Forgetful, "resume", "must be the uninterrupted one's"),
    "healing": (Healing, "wear", "never decrease"),
    "one use": (OneUse, "parking", "controller is closed"),
}


@pytest.mark.parametrize(("kind", "check", "words"), FAULTS.values(), ids=list(FAULTS))
def test_each_fault_is_found_and_named(film, kind, check, words):
    found = failures(film, kind)
    assert check in found
    assert re.search(words, found[check]), found[check]


def test_swapped_axes_are_found_on_square_and_on_oblong_scans(film, square):
    assert (
        "fits best as it is with rows and columns swapped"
        in failures(square, Transposed)["orientation"]
    )
    assert "grid edges" in failures(film, Transposed)


def test_a_hanging_call_is_a_failed_check_and_not_a_hanging_suite(film):
    started = time.monotonic()
    hanging = lambda: Hanging(film, "quiet", seed=SEED)  # noqa: E731
    results = check_microscope(hanging, waveform=WAVEFORM, seconds=0.4)
    found = {r.name: r.message for r in results if not r.passed}
    assert "must return within 0.4 s" in found["light"]
    assert time.monotonic() - started < 20.0


def test_all_failures_are_listed_in_one_error(film):
    class Bad(Nanometres, Healing):
        pass

    with pytest.raises(MicroscopeError, match=r"fails 2 of \d+ checks:\n  image: .*\n  wear: "):
        require_conforming(lambda: Bad(film, "quiet", seed=SEED), waveform=WAVEFORM)


def test_an_instrument_that_nobody_answers_is_one_error():
    def closed() -> SimulatedMicroscope:
        raise MicroscopeError("connection refused")

    (result,) = check_microscope(closed)
    assert (result.name, result.passed) == ("connection", False)
    assert result.message == "raised MicroscopeError: connection refused"


class Real(SimulatedMicroscope):
    """Stands for an instrument: one connection, slow images; counts them, and who parks it."""

    opened = scans = 0
    hang = False

    def __init__(self, film: Film) -> None:
        super().__init__(film, "quiet", seed=SEED, light=LIGHT)
        type(self).opened += 1

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, simulated=False, patience_s=0.5)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        image = super().scan(channels)
        type(self).scans += 1
        self.engaged = self.hang
        time.sleep(10.0 if self.hang else 0.3)  # longer than the time of a check without patience
        return image

    def park(self) -> None:
        self.parked_by = threading.current_thread()
        super().park()

    def contact(self) -> bool:
        return self.engaged

    def landings(self) -> int:
        return int(self.clock.now() * 1e6)


@pytest.mark.parametrize("hang", [False, True])
def test_a_real_microscope_is_opened_once_images_once_and_is_parked_from_here(film, hang):
    kind = type("One", (Real,), {"hang": hang})
    made = []
    results = check_microscope(
        lambda: made.append(kind(film)) or made[-1], waveform=WAVEFORM, seconds=0.1
    )
    states = {r.name: r.checked for r in results}
    assert (kind.opened, kind.scans, len(made)) == (1, 1, 1)
    assert not made[0].engaged
    assert made[0].parked_by is threading.main_thread()
    assert not states["orientation"]
    if hang:
        assert [r.name for r in results if not r.passed] == ["image"]
        assert not any(states[n] for n in ("curve", "landing", "limits"))
    else:
        assert all(r.passed for r in results), [r for r in results if not r.passed]
        assert states["landing"]
        assert not states["repeatability"]


def test_a_landing_that_is_not_confirmed_is_found(film):
    class Believes(Real):
        def landings(self) -> int:
            return 0

        def contact(self) -> bool:
            return True

    results = {r.name: r for r in check_microscope(lambda: Believes(film), waveform=WAVEFORM)}
    assert "must land, and confirm it" in results["landing"].message
    assert "must be confirmed to be up" in results["landing"].message


def test_the_microscopes_of_a_check_are_parked_at_its_end(film):
    made: list[SimulatedMicroscope] = []

    class Left(SimulatedMicroscope):
        def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
            image = super().scan(channels)
            self.engaged = True
            raise MicroscopeError(f"lost after {image.shape}")

    def factory() -> SimulatedMicroscope:
        made.append(Left(film, "quiet", seed=SEED))
        return made[-1]

    check_microscope(factory)
    assert len(made) > 5
    assert not any(m.engaged for m in made)
