"""A fake controller over a small sample, and an adapter connected to it."""

import fake_nanonis
import numpy as np
import pytest

from grainscout.records import Waveform

SWEEP = Waveform.triangle(1.0, 21, 0.1)
RNG = np.random.default_rng(8)
#: Nothing maps these on themselves; float32, as they come through the wire.
HEIGHT = (np.cumsum(RNG.random((7, 9)), axis=0) * 1e-9).astype(np.float32).astype(float)
PEAK = ((np.arange(63).reshape(7, 9) + 1.0) * 1e-10).astype(np.float32).astype(float)


def controller(height=HEIGHT, peak=PEAK, **settings):
    """A fake that remembers what is connected to it."""
    made = fake_nanonis.FakeNanonis(height, peak, **settings)
    made.clients = []
    return made


def connect(fake, **options):
    from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope

    options = {**fake_nanonis.QUICK, **fake.ports(), "timeout_s": 1.0, **options}
    fake.clients.append(NanonisMicroscope(**options))
    return fake.clients[-1]


@pytest.fixture
def fake(request):
    angle, up = getattr(request, "param", (30.0, True))
    yield from closing(controller(angle=angle, up=up))


def closing(made):
    yield made
    for microscope in made.clients:
        microscope.close()
    made.close()


@pytest.fixture
def microscope(fake):
    """One that has taken its image."""
    made = connect(fake)
    made.scan()
    fake.log.clear()
    return made
