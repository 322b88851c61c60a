"""Every adapter on its rig."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from rig import HEIGHT, SHAPE, Arrived, Rig, counted
from rigs_controllers import asylum, nanonis, source_meter

from grainscout.analysis.formats import Recording
from grainscout.hardware import ReplayMicroscope, SimulatedMicroscope
from grainscout.hardware.bluesky.optimizers import OptimizerPolicy
from grainscout.hardware.remote import messages as wire
from grainscout.records import Budget, Problem, Proposal, Scan, Site, Waveform, spawn_streams
from grainscout.records.encoding.codec import proposal_state
from grainscout.simulator import PRESETS, Film


@contextlib.contextmanager
def simulated() -> Iterator[Rig]:
    """The simulated microscope; the controller is its instrument."""
    film = Film.generate(PRESETS["tiny"], 3)
    microscope = SimulatedMicroscope(film, seed=spawn_streams(3).instrument, light=0.0)
    log = Arrived()
    inner, lamp = microscope.instrument.sweep, microscope.instrument.lamp.switch

    def sweep(site: Site, visit: int, waveform: Waveform, now: float) -> Any:
        log.voltage += waveform.voltage.tolist()
        log.step_s = float(np.diff(waveform.time).min())
        log.places.append(scan.position(site))
        return inner(site, visit, waveform, now)

    def switch(suns: float, now: float) -> None:
        log.light = suns
        lamp(suns, now)

    microscope.instrument.sweep = sweep  # type: ignore[method-assign]
    microscope.instrument.lamp.switch = switch  # type: ignore[method-assign]
    scan = microscope.scan()

    def arrived() -> Arrived:
        log.compliance = getattr(microscope.instrument, "compliance", None)
        return log

    kinds = itertools.cycle((OSError, RuntimeError, MemoryError, KeyboardInterrupt, ValueError))
    fail_at, calls = counted(
        microscope.instrument, ["move", "land", "sweep", "image"], lambda: next(kinds)("injected")
    )
    yield Rig(
        name="simulated",
        microscope=microscope,
        scan=scan,
        arrived=arrived,
        parked=lambda: microscope.bias == 0.0 and not microscope.engaged,
        clear=log.clear,
        light=True,
        tolerance=0.0,
        fail_at=fail_at,
        calls=calls,
    )


def _recording() -> Recording:
    sweep = Waveform.triangle(0.2, 5, 5e-4)
    return Recording(
        scan=Scan(channels={"height": HEIGHT}, pixel_size=(1e-8, 1e-8), origin=(1e-7, 0.0)),
        sites=np.argwhere(np.ones(SHAPE, bool)),
        waveform=sweep,
        current=np.full((42, 5), 1e-9),
    )


@contextlib.contextmanager
def replay() -> Iterator[Rig]:
    """A recording; what arrives is what was recorded and asked for."""
    recording = _recording()
    microscope = ReplayMicroscope(recording)
    log = Arrived()
    inner = microscope.measure

    def measure(site: Site, waveform: Waveform) -> Any:
        curve = inner(site, waveform)
        log.voltage += curve.voltage.tolist()
        log.step_s = float(np.diff(curve.time).min())
        log.places.append(recording.scan.position(site))
        return curve

    microscope.measure = measure  # type: ignore[method-assign]
    yield Rig(
        name="replay",
        microscope=microscope,
        scan=microscope.scan(),
        arrived=lambda: log,
        parked=lambda: microscope.bias == 0.0 and not microscope.engaged,
        clear=log.clear,
        tolerance=0.0,
        waveforms="recorded",
    )


def _through_wire(site: Site) -> Site:
    """A site as a policy server proposes it: bytes in between."""
    body = proposal_state(Proposal(id="x", site=site))
    message = wire.encode(wire.Message(kind="done", body={"proposals": [body]}))
    answer = wire.decode([bytes(f) for f in message]).body["proposals"][0]
    return wire.parsed("proposal", wire.received_proposal, answer).site


@contextlib.contextmanager
def link() -> Iterator[Rig]:
    """The simulated microscope with sites that come over the link."""
    with simulated() as rig:
        rig.name, rig.route = "link", _through_wire
        yield rig


@contextlib.contextmanager
def bluesky() -> Iterator[Rig]:
    """The simulated microscope with sites that an optimizer of Bluesky suggests."""

    class One:
        site = Site(0, 0)

        def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
            return [{"_id": 1, "row": self.site[0], "column": self.site[1]}]

        def ingest(self, points: object) -> None:
            pass

    with simulated() as rig:
        problem = Problem(
            scan=rig.scan,
            candidates=np.argwhere(np.ones(rig.scan.shape, bool)),
            waveform=Waveform.triangle(),
            budget=Budget(curves=1),
        )
        one = One()

        def route(site: Site) -> Site:
            if not rig.scan.contains(site):  # it has candidates only; others do not come through
                return site
            policy = OptimizerPolicy(lambda *_: one)
            policy.reset(problem, rng=np.random.default_rng(0))
            one.site = site
            return policy.ask()[0].site

        rig.name, rig.route = "bluesky", route
        yield rig


RIGS: dict[str, Any] = {
    "simulated": simulated,
    "replay": replay,
    "nanonis": nanonis,
    "source-meter 2400": source_meter("2400"),
    "source-meter 2600": source_meter("2600"),
    "asylum": asylum("asylum"),
    "aespm": asylum("aespm"),
    "bluesky": bluesky,
    "link": link,
}
