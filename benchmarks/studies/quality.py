"""Quality of curves against the instrument's own log: recall, precision and false alarms on fresh films.

python benchmarks/studies/quality.py            the table, then 10^5 quiet curves (5 CPU minutes)
python benchmarks/studies/quality.py --smoke    one small film
"""

import argparse
from dataclasses import replace
from itertools import product

import numpy as np

from grainscout.analysis.curves.descriptors import describe
from grainscout.analysis.curves.quality import judge
from grainscout.hardware import SimulatedMicroscope
from grainscout.records import BoolArray, FloatArray, IntArray, Site, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.instrument import InstrumentSpec, instrument_spec

_FILMS = ("Gong2026", "Liu2023", "gong2026-fitted")
_OTHERS = ("composition", "conducting-junctions", "foreign-swapped", "foreign-cycled")
_INSTRUMENTS = (
    *("reference", "contact-mild", "contact-severe", "contact-severe+noise-mild"),
    *("contact-severe+noise-severe", "all-mild", "all-severe"),
)
_TARGETS = ("loop_area", "turn_on", "log_max_current")
_LIGHTS = (0.0, 0.1)
_SWEEPS = (
    *(Waveform.triangle(1.5, n, t) for n, t in ((251, 1.0), (101, 1.0), (51, 1.0), (101, 0.1))),
    *(Waveform.triangle(-1.5, 101, 0.1), Waveform.bipolar(1.5, 153, 1.0)),
    *(Waveform.triangle(1.0, 65, 5.0), Waveform.triangle(2.0, 401, 2.0)),
)


def measured(
    film: Film, spec: InstrumentSpec, sites: IntArray, sweep: Waveform, light: float, seed: int
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Currents, deflections (n, samples) and where the instrument's log says that contact was lost."""
    scope = SimulatedMicroscope(film, spec, seed=spawn_streams(seed).instrument, light=light)
    curves, lost = [], []
    for row, column in sites:
        before = len(scope.instrument.events)
        curves.append(scope.measure(Site(int(row), int(column)), sweep))
        lost.append(any(e.kind == "contact_lost" for e in scope.instrument.events[before:]))
    bent = np.array([c.signals["deflection"] for c in curves])
    return np.array([c.current for c in curves]), bent, np.array(lost)


def losses(name: str, first: int, films: int, curves: int) -> IntArray:
    """Counts of curves, losses that move a target, found alone, found with the deflection, false ones.

    A target moves by more than 0.3 sd of the truth, or has a value only with contact or without.
    """
    counts, sweep = np.zeros(5, int), _SWEEPS[0]
    volts = sweep.voltage
    spec = replace(instrument_spec(name), approach=None, crash=None)
    for preset, seed, light in product(_FILMS, range(first, first + films), _LIGHTS):
        film = Film.generate(PRESETS[preset], spawn_streams(seed).film)
        sites = np.random.default_rng(seed).integers(0, film.shape, (curves, 2))
        current, bent, lost = measured(film, spec, sites, sweep, light, first)
        still, _, _ = measured(film, replace(spec, contact=None), sites, sweep, light, first)
        truth, _ = film.curves(sites, sweep, light=light)
        moved = np.zeros(curves, bool)
        for target in _TARGETS:
            true, then, now = (describe(target, volts, c) for c in (truth, still, current))
            off = np.abs(now.value - then.value) > 0.3 * np.nanstd(true.value)
            moved |= (now.valid != then.valid) | (off & now.valid)
        alone = ~judge(volts, current).usable
        felt = ~judge(volts, current, deflection=bent).usable
        wanted, false = lost & moved, (alone | felt) & ~lost
        counts += [curves, *(int(x.sum()) for x in (wanted, alone & wanted, felt & wanted, false))]
    return counts


def quiet(first: int, films: int, curves: int) -> IntArray:
    """Counts of curves without faults, over films and sweeps, and of false alarms."""
    counts = np.zeros(2, int)
    for k, preset in enumerate((*_FILMS, *_OTHERS) * films):
        film = Film.generate(PRESETS[preset], spawn_streams(first + 100 + k).film)
        rng = np.random.default_rng(first + k)
        for sweep, light in product(_SWEEPS, _LIGHTS):
            current, _ = film.curves(rng.integers(0, film.shape, (curves, 2)), sweep, light=light)
            noise = 10 ** rng.uniform(-12.7, -10.7, (curves, 1))
            seen = judge(sweep.voltage, current + noise * rng.standard_normal(current.shape))
            counts += [curves, int((~seen.usable).sum())]
    return counts


def main() -> None:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--smoke", action="store_true", help="one small film")
    options.add_argument("--seed", type=int, default=8850, help="of the first film")
    given = options.parse_args()
    films, curves = (1, 20) if given.smoke else (3, 300)
    for name in _INSTRUMENTS:
        # Severe ones lose contact in three sweeps of four.
        few = curves // 5 if "severe" in name else curves
        n, wanted, alone, felt, false = losses(name, given.seed, films, few)
        print(
            f"{name}: {n} curves, {wanted} losses that move a target, found alone {alone}, with the "
            f"deflection {felt}, false {false}",
            flush=True,
        )
    print("quiet: {} curves, {} false alarms".format(*quiet(given.seed, films, curves)))


if __name__ == "__main__":
    main()
