"""The conformance suite passes good microscopes, and names the fault of each bad one."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from grainscout.hardware import Capabilities, Guard, Limits, SimulatedMicroscope, check_microscope
from grainscout.hardware.conformance.suite import require_conforming
from grainscout.records import (
    IVCurve,
    MicroscopeError,
    PackedState,
    Scan,
    Site,
    Waveform,
)
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


def test_a_guarded_microscope_conforms(film):
    require_conforming(
        lambda: Guard(SimulatedMicroscope(film, "reference", seed=SEED, light=LIGHT), Limits()),
        **known(film),
    )


class Transposed(SimulatedMicroscope):
    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        return super().measure(Site(site[1], site[0]), waveform)


class BottomLeft(SimulatedMicroscope):
    """The origin of its pixels is the bottom left corner."""

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        rows = self.instrument.film.shape[0]
        return super().measure(Site(rows - 1 - site[0], site[1]), waveform)


class MirroredImage(SimulatedMicroscope):
    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        image = super().scan(channels)
        return replace(image, channels={k: v[:, ::-1] for k, v in image.channels.items()})


class Nanometres(SimulatedMicroscope):
    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        image = super().scan(channels)
        return replace(image, channels={k: v * 1e9 for k, v in image.channels.items()})


class NanometrePixels(SimulatedMicroscope):
    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        return replace(super().scan(channels), pixel_size=(20.0, 20.0))


class Altered(SimulatedMicroscope):
    """Its curves come back changed."""

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        curve = super().measure(site, waveform)
        whole = {k: getattr(curve, k) for k in ("voltage", "current", "time", "saturated")}
        return IVCurve(**(whole | self.change(curve)))

    def change(self, curve: IVCurve) -> dict[str, np.ndarray]:
        raise AssertionError("a subclass says what changes")


class BeforeTheGain(Altered):
    """Reports the voltage before the amplifier's gain."""

    def change(self, curve: IVCurve) -> dict[str, np.ndarray]:
        return {"voltage": 0.1 * curve.voltage}


class Nanoamperes(Altered):
    def change(self, curve: IVCurve) -> dict[str, np.ndarray]:
        return {"current": 1e9 * curve.current}


class Milliseconds(Altered):
    def change(self, curve: IVCurve) -> dict[str, np.ndarray]:
        return {"time": 1e3 * curve.time}


class Overflow(Altered):
    """A source-meter's overflow code passes as a current."""

    def change(self, curve: IVCurve) -> dict[str, np.ndarray]:
        return {"current": np.where(curve.voltage > 1.0, 9.91e37, 0.0)}


class SilentRail(SimulatedMicroscope):
    """Saturates, and flags only half of it."""

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        curve = super().measure(site, waveform)
        rail = 0.5 * float(np.abs(curve.current).max())
        flags = curve.current >= rail
        flags[: len(flags) // 2] = False
        return IVCurve(
            voltage=curve.voltage,
            current=np.clip(curve.current, -rail, rail),
            time=curve.time,
            saturated=flags,
        )


class Wrapping(SimulatedMicroscope):
    """Clamps positions silently."""

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        rows, columns = self.instrument.film.shape
        return super().measure(
            Site(min(max(site[0], 0), rows - 1), min(max(site[1], 0), columns - 1)), waveform
        )


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
        self._clock = type(self._clock)(before)
        return curve


class Restless(SimulatedMicroscope):
    """Noise from a global source."""

    count = 0

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        Restless.count += 1
        curve = super().measure(site, waveform)
        noise = 1e-12 * Restless.count
        return IVCurve(voltage=curve.voltage, current=curve.current + noise, time=curve.time)


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


@pytest.mark.parametrize(
    ("kind", "check", "words"),
    [
        (BottomLeft, "orientation", "fits best upside down"),
        (MirroredImage, "orientation", "scan height .* fits best mirrored"),
        (Nanometres, "image", "height must be in m"),
        (NanometrePixels, "image", "pixel_size is in metres"),
        (BeforeTheGain, "curve", "voltage must be the waveform's at the sample"),
        (Nanoamperes, "curve", "current must be in amperes"),
        (Overflow, "curve", "current must be in amperes"),
        (Milliseconds, "curve", "time must span"),
        (SilentRail, "saturation", "must be flagged"),
        (Unbounded, "saturation", "compliance .* must hold"),
        (Wrapping, "grid edges", "row 32, column 0 of 32 x 40 must raise"),
        (DarkButSilent, "light", "without a lamp must raise"),
        (Free, "clock", "must take its 0.5 s"),
        (Restless, "repeatability", "must give the same curve"),
        (Forgetful, "resume", "must be the uninterrupted one's"),
        (Healing, "wear", "never decrease"),
        (OneUse, "parking", "controller is closed"),
    ],
)
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
    results = check_microscope(
        lambda: Hanging(film, "quiet", seed=SEED), waveform=WAVEFORM, seconds=0.4
    )
    found = {r.name: r.message for r in results if not r.passed}
    assert "must return within 0.4 s" in found["light"]
    assert time.monotonic() - started < 20.0


def test_all_failures_are_listed_in_one_error(film):
    class Bad(Nanometres, Healing):
        pass

    with pytest.raises(MicroscopeError, match=r"fails 2 of \d+ checks:\n  image: .*\n  wear: "):
        require_conforming(lambda: Bad(film, "quiet", seed=SEED), waveform=WAVEFORM)


def test_a_factory_that_fails_fails_every_check(film):
    def closed() -> SimulatedMicroscope:
        raise MicroscopeError("connection refused")

    results = check_microscope(closed)
    assert not any(r.passed for r in results)
    assert {r.message for r in results} == {"raised MicroscopeError: connection refused"}


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
