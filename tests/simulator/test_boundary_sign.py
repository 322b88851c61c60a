"""Facts of any film, for every sign of the boundaries' contrast.

The papers disagree about it (Gong2026: larger loops at boundaries, Liu2023: smaller), so nothing in the
simulator may lean on one of them.
"""

from dataclasses import replace

import numpy as np
import pytest

from grainscout.records import Waveform
from grainscout.simulator import PRESETS, Film

SIGNS = {"boundary-larger": 1, "boundary-same": 0, "boundary-smaller": -1}
SWEEP = Waveform.triangle(samples=61)


@pytest.mark.parametrize("name", SIGNS)
def test_loops_at_boundaries_have_the_sign_that_was_set(name):
    """ln of the loop area, at symmetric boundaries over deep in grains: 1, 0 or -1."""
    spec = replace(PRESETS[name], rows=64, columns=64)
    constants = replace(
        spec.transport.globals_, Cs=0.0, Ioff=0.0
    )  # no stray current of the circuit
    film = Film.generate(replace(spec, transport=replace(spec.transport, globals_=constants)), 6)
    s, contact = film.structure, film.parameters["A"]
    area = film.property_map(
        lambda i: (i[:, ::-1] - i)[:, : i.shape[1] // 2].mean(1), SWEEP, light=0.1
    )
    conducting = film.archetype != 3
    beside = conducting & (s.boundary_distance < 12e-9) & (np.abs(s.asymmetry) < 0.1)
    deep = conducting & (s.boundary_distance > 80e-9)
    assert beside.sum() > 50
    assert deep.sum() > 50
    ratio = np.median((area / contact)[beside]) / np.median((area / contact)[deep])
    assert np.log(ratio) == pytest.approx(SIGNS[name], abs=0.4)
