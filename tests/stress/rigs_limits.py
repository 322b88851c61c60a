"""Every adapter on its rig."""

import contextlib
import itertools
from functools import partial

import numpy as np
from rig import HEIGHT, SHAPE, Arrived, Rig, counted
from rigs_controllers import asylum, nanonis, source_meter
from samples import fresh, problem_on

from grainscout.analysis.formats import Recording
from grainscout.hardware import ReplayMicroscope, SimulatedMicroscope
from grainscout.hardware.bluesky.optimizers import OptimizerPolicy
from grainscout.hardware.remote import messages as wire
from grainscout.records import Proposal, Scan, Waveform, spawn_streams
from grainscout.records.encoding.codec import proposal_state
from grainscout.simulator import PRESETS, Film


@contextlib.contextmanager
def simulated():
    """The simulated microscope; the controller is its instrument."""
    film = Film.generate(PRESETS["tiny"], 3)
    microscope = SimulatedMicroscope(film, seed=spawn_streams(3).instrument, light=0.0)
    instrument, log = microscope.instrument, Arrived()
    inner, lamp = instrument.sweep, instrument.lamp.switch

    def sweep(site, visit, waveform, now):
        log.sweep(waveform.voltage, np.diff(waveform.time).min(), scan.position(site))
        return inner(site, visit, waveform, now)

    def switch(suns, now):
        log.light = suns
        lamp(suns, now)

    def arrived():
        log.compliance = getattr(instrument, "compliance", None)
        return log

    instrument.sweep, instrument.lamp.switch = sweep, switch
    scan = microscope.scan()
    kinds = itertools.cycle((OSError, RuntimeError, MemoryError, KeyboardInterrupt, ValueError))
    steps = ("move", "land", "sweep", "image")
    yield Rig(
        name="simulated",
        microscope=microscope,
        scan=scan,
        arrived=arrived,
        parked=lambda: microscope.bias == 0.0 and not microscope.engaged,
        clear=log.clear,
        light=True,
        tolerance=0.0,
        **counted(*((instrument, step, lambda: next(kinds)("injected")) for step in steps)),
    )


@contextlib.contextmanager
def replay():
    """A recording; what arrives is what was recorded and asked for."""
    microscope = ReplayMicroscope(
        Recording(
            scan=Scan(channels={"height": HEIGHT}, pixel_size=(1e-8, 1e-8), origin=(1e-7, 0.0)),
            sites=np.argwhere(np.ones(SHAPE, bool)),
            waveform=Waveform.triangle(0.2, 5, 5e-4),
            current=np.full((42, 5), 1e-9),
        )
    )
    log, inner, scan = Arrived(), microscope.measure, microscope.scan()

    def measure(site, waveform):
        curve = inner(site, waveform)
        log.sweep(curve.voltage, np.diff(curve.time).min(), scan.position(site))
        return curve

    microscope.measure = measure
    yield Rig(
        name="replay",
        microscope=microscope,
        scan=scan,
        arrived=lambda: log,
        parked=lambda: microscope.bias == 0.0 and not microscope.engaged,
        clear=log.clear,
        tolerance=0.0,
        waveforms="recorded",
    )


def _through_wire(site):
    """A site as a policy server proposes it: bytes in between."""
    body = proposal_state(Proposal(id="x", site=site))
    message = wire.encode(wire.Message(kind="done", body={"proposals": [body]}))
    answer = wire.decode([bytes(f) for f in message]).body["proposals"][0]
    return wire.parsed("proposal", wire.received_proposal, answer).site


@contextlib.contextmanager
def link():
    """The simulated microscope with sites that come over the link."""
    with simulated() as rig:
        rig.name, rig.route = "link", _through_wire
        yield rig


@contextlib.contextmanager
def bluesky():
    """The simulated microscope with sites that an optimizer of Bluesky suggests."""

    class One:
        def __init__(self, site):
            self.site = site

        def suggest(self, num_points=None):
            return [{"_id": 1, "row": self.site[0], "column": self.site[1]}]

    with simulated() as rig:
        problem = problem_on(rig.scan)

        def route(site):
            if not rig.scan.contains(site):  # it has candidates only; others do not come through
                return site
            return fresh(OptimizerPolicy(lambda *_: One(site)), problem).ask()[0].site

        rig.name, rig.route = "bluesky", route
        yield rig


RIGS = {
    "simulated": simulated,
    "replay": replay,
    "nanonis": nanonis,
    "source-meter 2400": partial(source_meter, "2400"),
    "source-meter 2600": partial(source_meter, "2600"),
    "asylum": asylum,
    "bluesky": bluesky,
    "link": link,
}
