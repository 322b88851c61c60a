"""Published statements about films, read off simulated ones by the descriptors alone."""

import numpy as np
import pytest

from grainscout.analysis.curves.descriptors import describe
from grainscout.analysis.forensics import light_difference
from grainscout.records import Waveform
from grainscout.simulator import PRESETS, Film

TRIANGLE = Waveform.triangle()
V = TRIANGLE.voltage


@pytest.fixture(scope="module")
def film() -> Film:
    return Film.generate(PRESETS["reference"], 5)


@pytest.fixture(scope="module")
def spots(film) -> np.ndarray:
    """Sites that conduct, every third pixel."""
    sites = np.argwhere(np.ones(film.shape, bool))[::3]
    return sites[film.archetype[tuple(sites.T)] < 3]


@pytest.fixture(scope="module")
def currents(film, spots) -> dict[str, np.ndarray]:
    return {k: film.curves(spots, TRIANGLE, light=s)[0] for k, s in (("dark", 0.0), ("light", 0.1))}


def test_the_maximum_current_is_higher_in_light(currents):
    """S23, for interiors, boundaries and junctions alike."""
    table = light_difference(V, currents["dark"], currents["light"], names=["max_current"])
    assert (table["difference"] > 0).mean() > 0.99


def test_junctions_insulate_in_the_dark_and_conduct_in_light(film, spots, currents):
    """S23: dark junctions carry little of the interior's current, lit ones a good part of it."""
    junction = film.structure.junction_distance[tuple(spots.T)]
    boundary = film.structure.boundary_distance[tuple(spots.T)]
    at, inside = junction < 10e-9, boundary > 100e-9
    assert at.sum() >= 10
    ratio = {}
    for name, current in currents.items():
        maximum = describe("max_current", V, current).value
        ratio[name] = np.median(maximum[at]) / np.median(maximum[inside])
    assert ratio["dark"] < 0.15
    assert ratio["light"] > 0.5


def test_the_loop_grows_towards_boundaries_in_light(film, spots, currents):
    """S26: hysteresis rises from the interior to the boundary."""
    boundary = film.structure.boundary_distance[tuple(spots.T)]
    area = describe("loop_area", V, currents["light"]).value
    near, far = np.median(area[boundary < 15e-9]), np.median(area[boundary > 100e-9])
    assert near > 1.3 * far
