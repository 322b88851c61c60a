"""Facts of any film, for every sign of the boundaries' contrast.

The papers disagree about it (Gong2026: larger loops at boundaries, Liu2023: smaller), so nothing in the
simulator may lean on one of them.
"""

from dataclasses import replace

import numpy as np
import pytest

from grainscout.microstructure.structure import MAPS
from grainscout.records import Waveform
from grainscout.simulator import PRESETS, Film, FilmSpec

SIGNS = {"boundary-larger": 1, "boundary-same": 0, "boundary-smaller": -1}
SWEEP = Waveform.triangle(samples=61)
BOTH_WAYS = Waveform.triangle(start=-1.5, samples=61)
SUN = 0.1
SEED = 6


def sized(name: str, pixels: int = 40) -> FilmSpec:
    spec = replace(PRESETS[name], rows=pixels, columns=pixels)
    # No stray current of the circuit: what flows at 0 V in the dark would be the film's.
    constants = replace(spec.transport.globals_, Cs=0.0, Ioff=0.0)
    return replace(spec, transport=replace(spec.transport, globals_=constants))


@pytest.fixture(scope="module", params=SIGNS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def film(name) -> Film:
    return Film.generate(sized(name), SEED)


@pytest.fixture(scope="module")
def sites(film) -> np.ndarray:
    """Every ninth pixel, and some on boundaries and at junctions."""
    s = film.structure
    nearest = [np.argsort(d, axis=None)[:4] for d in (s.boundary_distance, s.junction_distance)]
    chosen = np.unique(np.concatenate([np.arange(0, s.labels.size, 9), *nearest]))
    return np.column_stack(np.unravel_index(chosen, film.shape))


def test_the_same_seed_is_the_same_film_to_the_last_bit(name, film, sites):
    again = Film.generate(sized(name), SEED)
    # Asked for in another order: nothing depends on what came first.
    current, state = again.curves(sites, SWEEP, light=SUN)
    image = again.scan().height
    assert np.array_equal(image, film.scan().height)
    for one, other in zip((current, state), film.curves(sites, SWEEP, light=SUN), strict=True):
        assert np.array_equal(one, other)
    for key in MAPS:
        assert np.array_equal(getattr(film.structure, key), getattr(again.structure, key))
    assert all(np.array_equal(v, again.parameters[k]) for k, v in film.parameters.items())
    other_seed = Film.generate(sized(name), SEED + 1)
    assert not np.array_equal(other_seed.structure.labels, film.structure.labels)
    assert not np.array_equal(other_seed.curves(sites, SWEEP, light=SUN)[0], current)


def test_maps_agree_with_each_other(film):
    s = film.structure
    own = s.boundaries[s.boundary_id]
    assert ((own["first"] == s.labels) | (own["second"] == s.labels)).all()
    touches = np.zeros(s.shape, bool)
    for low, high in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        differs = s.labels[low] != s.labels[high]
        touches[low] |= differs
        touches[high] |= differs
    assert np.array_equal(s.boundary, touches)
    # A pixel beside a boundary is about a pixel from it; no junction is nearer than its boundary.
    assert s.boundary_distance[touches].max() < 1.5 * max(s.pixel_size)
    assert (s.junction_distance >= s.boundary_distance - 0.5 * max(s.pixel_size)).all()
    tilted = s.asymmetry != 0
    assert (np.sign(s.asymmetry) == np.where(own["smooth_side"] == s.labels, 1, -1))[tilted].all()
    weights = film.archetype_weights
    assert weights.shape == (40, 40, 4)
    assert weights.min() >= 0.0
    assert np.allclose(weights.sum(2), 1.0)
    assert np.array_equal(film.archetype, weights.argmax(2))


def test_loops_at_boundaries_have_the_sign_that_was_set(name):
    """ln of the loop area, at symmetric boundaries over deep in grains: 1, 0 or -1."""
    film = Film.generate(sized(name, 64), SEED)
    s, contact = film.structure, film.parameters["A"]
    area = film.property_map(
        lambda i: (i[:, ::-1] - i)[:, : i.shape[1] // 2].mean(1), SWEEP, light=SUN
    )
    conducting = film.archetype != 3
    beside = conducting & (s.boundary_distance < 12e-9) & (np.abs(s.asymmetry) < 0.1)
    deep = conducting & (s.boundary_distance > 80e-9)
    assert beside.sum() > 50
    assert deep.sum() > 50
    ratio = np.median((area / contact)[beside]) / np.median((area / contact)[deep])
    assert np.log(ratio) == pytest.approx(SIGNS[name], abs=0.4)
