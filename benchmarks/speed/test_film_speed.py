"""Films: seconds for a film, and how its cost grows with the number of pixels.

Numbers depend on the machine; the ratios in ``extra_info`` do not.
Run with ``pytest benchmarks/speed/test_film_speed.py``.
"""

import time

import numpy as np
import pytest

from grainscout.records import Waveform
from grainscout.simulator import Film, FilmSpec


def seconds(make) -> float:
    start = time.process_time()
    make()
    return time.process_time() - start


@pytest.mark.parametrize("size", [128, 512])
def test_generate(benchmark, size):
    spec = FilmSpec(rows=size, columns=size)
    Film.generate(FilmSpec(rows=32, columns=32), 0)
    film = benchmark.pedantic(lambda: Film.generate(spec, 1), rounds=3, iterations=1)
    # A memory-bandwidth floor: writing the structure's maps once.
    maps = [film.structure.height.copy() for _ in range(7)]
    floor = seconds(lambda: [np.copyto(a, 1.0) for a in maps])
    ratio = benchmark.stats["min"] / max(floor, 1e-6)
    benchmark.extra_info["times the floor of writing its maps"] = ratio


def test_cost_is_linear_in_pixels(benchmark):
    """A film has a margin of three grains, so small films pay for more than they show."""
    small, large = FilmSpec(rows=256, columns=256), FilmSpec(rows=512, columns=512)
    Film.generate(small, 0)
    # Processor time of both, so that a neighbour on the machine does not tilt the ratio.
    one = min(seconds(lambda: Film.generate(small, 1)) for _ in range(3))
    spent: list[float] = []
    benchmark.pedantic(lambda: spent.append(seconds(lambda: Film.generate(large, 1))), rounds=2)
    ratio = min(spent) / one
    benchmark.extra_info["512 / 256, 4 is linear"] = ratio
    assert ratio < 6.0


def test_scan(benchmark):
    film = Film.generate(FilmSpec(), 1)
    benchmark(film.scan)


def test_truth_maps(benchmark):
    film = Film.generate(FilmSpec(), 1)

    benchmark(lambda: Film(spec=film.spec, seed=film.seed, structure=film.structure).truth)


def test_one_curve_through_the_film(benchmark):
    film, sweep = Film.generate(FilmSpec(), 1), Waveform.triangle()
    site = np.array([[40, 50]])
    film.curves(site, sweep, light=0.1)
    benchmark(lambda: film.curves(site, sweep, light=0.1))


def test_whole_map(benchmark):
    film, sweep = Film.generate(FilmSpec(), 1), Waveform.triangle()
    _ = film.truth

    def whole():
        return sum(current.shape[0] for _, current in film.all_curves(sweep, light=0.1))

    assert benchmark.pedantic(whole, rounds=2, iterations=1) == 128
    benchmark.extra_info["curves per second"] = 128 * 128 / benchmark.stats["min"]
