"""Films to learn from: drawn far wider than any preset, with curves by several waveforms and lights."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.curves.descriptors import DESCRIPTORS, describe_all
from grainscout.policies.models.pretrained.kinds import kind_of
from grainscout.records import BoolArray, ConfigError, FloatArray, IntArray, Waveform
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.film.spec import FilmSpec

SITES, MARGIN = 1200, 8  # curves a film, and pixels at its edges without any
LIGHTS = (0.0, 0.1)
CURRENTS = 2  # voltages at which the current itself is a target
_NOISE = 1e-12  # rms of a sample [A]
_DRIFT = 0.6  # rms displacement at the end of a run, each axis [pixels]
_PAPERS = ("Gong2026", "Liu2023")
_OWN = 0.6  # share of films that are drawn and no paper's


def random_spec(rng: np.random.Generator) -> FilmSpec:
    """A film of a paper, or one of wide ranges."""
    base = PRESETS[_PAPERS[int(rng.integers(2))]]
    if rng.random() > _OWN:
        return base

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    pixel = between(12.0, 28.0)
    mean = float(np.clip(between(150.0, 1000.0), 9.0 * pixel, 50.0 * pixel))
    scan, top, transport = base.scan, base.topography, base.transport
    return replace(
        base,
        row_nm=pixel,
        column_nm=pixel,
        grains=replace(
            base.grains,
            mean_nm=mean,
            ln_sd=float(rng.uniform(0.15, 0.5)),
            warp_nm=float(rng.uniform(0.0, 0.06)) * mean,
            asymmetric_share=float(rng.uniform(0.03, 0.5)),
        ),
        topography=replace(
            top,
            dome_nm=top.dome_nm * between(0.5, 2.0),
            flank_nm=top.flank_nm * between(0.6, 1.6),
            tilt=top.tilt * between(0.5, 2.0),
            undulation_nm=top.undulation_nm * between(0.3, 2.0),
            roughness_nm=top.roughness_nm * between(0.4, 3.0),
        ),
        scan=replace(
            scan,
            tip_radius_nm=between(20.0, 160.0),
            noise_nm=scan.noise_nm * between(0.3, 4.0),
            line_nm=scan.line_nm * between(0.3, 3.0),
            scars=scan.scars * between(0.3, 4.0),
        ),
        transport=replace(
            transport,
            boundary_length=between(22e-9, 45e-9),
            junction_length=between(28e-9, 55e-9),
            junction_barrier=0.0 if rng.random() < 0.15 else float(rng.uniform(0.5, 1.4)),
            boundary_contrast=float(rng.uniform(-1.0, 1.2)),
            boundary_rates=float(rng.normal(0.0, 0.8)),
            composition=between(0.4, 2.0),
            boundary_spread=between(0.4, 2.5),
            hidden=between(0.4, 2.0),
            hidden_length=between(70e-9, 400e-9),
            gradient=float(rng.normal(0.0, 2.5)) if rng.random() < 0.2 else 0.0,
            insulating_fraction=float(rng.uniform(0.0, 0.12)),
            film_spread=float(rng.uniform(0.5, 1.8)),
        ),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """Targets of one film's sites.

    sites, drifted : (n, 2) commanded and true pixels;  truth, seen : (targets, n) values at the
    commanded pixel, noiseless, and at the true one with the amplifier's noise, NaN where undefined;
    names, kinds : what each target is, and (targets, KIND) what the surrogate is told of it.
    """

    sites: IntArray
    truth: FloatArray
    seen: FloatArray
    names: tuple[str, ...]
    kinds: FloatArray


def make_film(seed: int) -> Film:
    """The film of a seed."""
    source = np.random.SeedSequence([seed, 18])
    while True:
        spec, kind = source.spawn(2)
        film = Film.generate(random_spec(np.random.default_rng(spec)), kind)
        try:
            film.truth  # noqa: B018
        except ConfigError:  # no film of this structure has the contrast that was drawn
            continue
        return film


def waveforms(rng: np.random.Generator) -> list[Waveform]:
    """The papers' triangle, and another sweep."""
    peak, seconds = float(rng.uniform(0.8, 2.0)), float(np.exp(rng.uniform(-1.6, 1.6)))
    two_sided = rng.random() < 0.5
    other = (
        Waveform.bipolar(peak, samples=201, duration=2 * seconds)
        if two_sided
        else Waveform.triangle(peak if rng.random() < 0.7 else -peak, 101, seconds)
    )
    return [Waveform.triangle(samples=101), other]


def make_curves(film: Film, rng: np.random.Generator) -> Curves:
    """Targets of every waveform and light at random sites."""
    rows, columns = film.shape
    inside = MARGIN + np.argwhere(np.ones((rows - 2 * MARGIN, columns - 2 * MARGIN), bool))
    sites = inside[rng.choice(len(inside), min(SITES, len(inside)), replace=False)]
    late = np.linspace(0.0, 1.0, len(sites))[:, None]
    moved = np.rint(sites + late * rng.normal(0.0, _DRIFT, 2)).astype(np.int64)
    truth: list[FloatArray] = []
    seen: list[FloatArray] = []
    names: list[str] = []
    kinds: list[FloatArray] = []
    for light in LIGHTS:
        for waveform in waveforms(rng):
            known = film.curves(sites, waveform, light=light)[0]
            noisy = _noisy(film.curves(moved, waveform, light=light)[0], rng)
            at = rng.integers(1, len(waveform), CURRENTS)
            for values, out in ((known, truth), (noisy, seen)):
                found, labels = _targets(values, waveform, at, seen=out is seen)
                out += found
            names += [f"{name} {light:g} {waveform.kind}" for name in labels]
            kinds += [kind_of(name, waveform, light).astype(np.float64) for name in labels]
    return Curves(
        sites=sites,
        truth=np.array(truth),
        seen=np.array(seen),
        names=tuple(names),
        kinds=np.array(kinds),
    )


def _noisy(current: FloatArray, rng: np.random.Generator) -> FloatArray:
    slow = rng.standard_normal((len(current), 1))
    return current + _NOISE * (rng.standard_normal(current.shape) + 0.5 * slow)


def current_image(film: Film, bias: float, light: float, rng: np.random.Generator) -> FloatArray:
    """(rows, columns) current [A] as an image of it shows, one dwell a pixel."""
    rows, columns = film.shape
    pixels = np.argwhere(np.ones((rows, columns), bool))
    hold = Waveform.constant(bias, 0.5 / columns)
    current = film.curves(pixels, hold, light=light)[0][:, -1:]
    return _noisy(current, rng).reshape(rows, columns)


def _targets(
    current: FloatArray, waveform: Waveform, at: IntArray, *, seen: bool
) -> tuple[list[FloatArray], list[str]]:
    described = describe_all(DESCRIPTORS, waveform.voltage, current)
    out, names = [], []
    dead: BoolArray = np.ptp(current, axis=1) < 15e-12
    for name, found in described.items():
        usable = found.valid & ~dead if seen else found.valid & ~found.censored
        out.append(np.where(usable, found.value, np.nan))
        names.append(name)
    for k in at:
        size = np.where(dead, np.nan, current[:, k])
        out += [size, np.log10(np.maximum(np.abs(size), 1e-12))]
        names += ["current", "log_current"]
    return out, names


def cached_film(seed: int, folder: Path) -> dict[str, Any]:
    """Film and targets of a seed as arrays, made once."""
    path = folder / f"film_{seed}.npz"
    if not path.exists():
        film = make_film(seed)
        rng = np.random.default_rng([seed, 19])
        curves = make_curves(film, rng)
        bias = -1.5 if rng.random() < 0.7 else float(rng.choice([-1, 1]) * rng.uniform(0.5, 2.0))
        truth = film.truth
        partial = path.with_suffix(".part.npz")
        np.savez(
            partial,
            height=film.scan().height,
            pixel_size=film.pixel_size,
            current=np.array([current_image(film, bias, light, rng) for light in LIGHTS]),
            sites=curves.sites,
            archetype=truth.archetype,
            truth=curves.truth.astype(np.float32),
            seen=curves.seen.astype(np.float32),
            names=np.array(curves.names),
            kinds=curves.kinds.astype(np.float32),
            weights=truth.weights.astype(np.float16),
            contact=truth.contact.astype(np.float16),
            labels=film.structure.labels,
            boundary_id=film.structure.boundary_id,
            distances=np.stack(
                [film.structure.boundary_distance, film.structure.junction_distance]
            ).astype(np.float32),
            asymmetry=film.structure.asymmetry.astype(np.float16),
            lengths=np.array(
                [film.spec.transport.boundary_length, film.spec.transport.junction_length]
            ),
        )
        partial.rename(path)
    with np.load(path) as stored:
        return dict(stored)
