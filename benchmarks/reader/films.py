"""Films that the structure reader learns from: far wider than any preset, structure and image only.

    python -m grainscout.benchmarks.reader.films --data FOLDER    half a second a film, resumes

TRAIN, TUNE and JUDGE are the seeds of three sets that share no film.  Nothing is chosen on JUDGE.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from grainscout.microstructure.reader import MAPS, network_input, working_grid
from grainscout.records import FloatArray
from grainscout.simulator import Film, FilmSpec, GrainSpec, ScanSpec, TopographySpec
from grainscout.simulator.film import artefacts
from grainscout.simulator.film.blend import archetype_weights, contact_factor
from grainscout.simulator.film.streams import stream

TRAIN, TUNE, JUDGE = (
    range(3_000_000, 3_100_000),
    range(3_200_000, 3_201_000),
    range(3_300_000, 3_301_000),
)
TRUTHS = ("boundary", "junction", "asymmetry", "contact")
_SHARD = 25  # films in a file
_COARSE = 28.0  # nm: the truth under larger pixels is drawn on a grid twice as fine


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """An image as the network sees it, and the truth there."""

    image: NDArray[np.float16]  # (INPUTS, rows, columns)
    truth: NDArray[np.float16]  # (TRUTHS, rows, columns)


def random_spec(rng: np.random.Generator) -> FilmSpec:
    """A film and image unlike any preset: every setting drawn by itself."""

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def even(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    pixel = uniform(16.0, 25.0) if rng.random() < 0.6 else even(5.0, 40.0)
    ratio = uniform(0.6, 1.6) if rng.random() < 0.15 else 1.0
    side = 256 if pixel <= 8.0 else 192 if pixel <= 14.0 else 128 if pixel <= _COARSE else 96
    mean = 1800.0 if rng.random() < 0.04 else even(150.0, 1000.0)
    # Narrow grains have narrow flanks, in half of the films.
    narrow = np.sqrt(mean / 440.0) if rng.random() < 0.5 else 1.0
    grains = GrainSpec(
        mean_nm=mean,
        ln_sd=uniform(0.1, 0.55),
        diagram="voronoi" if rng.random() < 0.1 else "laguerre",
        warp_nm=uniform(0.0, 0.079) * mean,
        asymmetric_share=0.7 * uniform(0.0, 1.0) ** 2,
    )
    topography = TopographySpec(
        dome_nm=uniform(15.0, 100.0),
        dome_sd_nm=uniform(5.0, 40.0),
        flank_nm=narrow * uniform(45.0, 150.0),
        flank_power=uniform(0.8, 2.2),
        tilt=uniform(0.0, 0.16),
        undulation_nm=uniform(0.0, 60.0),
        groove_depth_nm=even(1.0, 10.0),
        groove_width_nm=narrow * uniform(40.0, 130.0),
        sharp=uniform(0.3, 0.65),
        smooth=uniform(1.5, 3.0),
        deeper=uniform(1.0, 2.2),
        pit=uniform(1.0, 2.0),
        roughness_nm=even(0.2, 4.0),
        hurst=uniform(0.4, 0.9),
        rolloff_nm=even(150.0, 600.0),
    )
    noise = even(0.2, 7.0)
    drift = uniform(0.0, 10.0) if rng.random() < 0.2 else 0.0
    scan = ScanSpec(
        tip_radius_nm=uniform(0.0, 30.0) if rng.random() < 0.15 else uniform(30.0, 150.0),
        noise_nm=0.15 * noise * even(0.5, 2.0),
        line_nm=0.8 * noise * even(0.5, 2.0),
        line_walk_nm=0.1 * noise,
        line_jumps=0.5 * noise,
        line_jump_nm=uniform(1.0, 4.0),
        scars=2.0 * noise,
        scar_nm=uniform(1.0, 6.0),
        plane_nm=uniform(0.0, 100.0) if rng.random() < 0.3 else 0.0,
        drift_nm=drift,
        drift_walk_nm=0.5 * drift,
    )
    return FilmSpec(
        rows=side,
        columns=side,
        row_nm=min(max(pixel * ratio, 5.0), 40.0),
        column_nm=pixel,
        grains=grains,
        topography=topography,
        scan=scan,
    )


def example(spec: FilmSpec, seed: int) -> Example:
    """What the network sees of a film, and its truth."""
    film, height = _imaged(spec, seed)
    grid = working_grid(height.shape, spec.pixel_size)
    maps = true_maps(film)
    truth = [
        resize(maps[name], grid.shape, order=1, mode="edge", anti_aliasing=False) for name in TRUTHS
    ]
    return Example(
        image=network_input(height, grid).astype(np.float16),
        truth=np.stack(truth).astype(np.float16),
    )


def true_maps(film: Film) -> dict[str, FloatArray]:
    """The truth of a reading's maps on the film's pixels, wherever its archetypes are placed."""
    law, signed = film.spec.transport, film.structure.asymmetry
    shares, boundary, junction = archetype_weights(film.structure, law)
    contact = np.log(contact_factor(film.structure, law.tip_radius))
    maps = (boundary, junction, *np.moveaxis(shares, -1, 0), np.abs(signed), signed, contact)
    return dict(zip(MAPS, maps, strict=True))


def drawn(seed: int) -> Example:
    """The example of a seed of TRAIN, TUNE or JUDGE."""
    return example(random_spec(np.random.default_rng([seed, 1])), seed)


def _imaged(spec: FilmSpec, seed: int) -> tuple[Film, FloatArray]:
    if max(spec.row_nm, spec.column_nm) <= _COARSE:
        film = Film.generate(spec, seed)
        return film, film.imaged()[0]
    twice = replace(spec, rows=2 * spec.rows, columns=2 * spec.columns)
    film = Film.generate(replace(twice, row_nm=spec.row_nm / 2, column_nm=spec.column_nm / 2), seed)
    blocks = film.dilated().reshape(spec.rows, 2, spec.columns, 2).mean((1, 3))
    streams = {name: stream(film.seed, name) for name in artefacts.STREAMS}
    return film, artefacts.image(blocks, spec.pixel_size, spec.scan, streams)[0]


def prepare(folder: Path, seeds: range) -> None:
    """Write the films of `seeds` into a folder; files that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for first in seeds[::_SHARD]:
        path = folder / f"{first}.npz"
        if path.exists():
            continue
        some = [drawn(seed) for seed in range(first, min(first + _SHARD, seeds.stop))]
        arrays = {f"image{k}": e.image for k, e in enumerate(some)}
        arrays |= {f"truth{k}": e.truth for k, e in enumerate(some)}
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(path)


def stored(folder: Path, seeds: range) -> Iterator[Example]:
    """The films of `seeds` that are in a folder."""
    for first in seeds[::_SHARD]:
        path = folder / f"{first}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as arrays:
                for k in range(len(arrays.files) // 2):
                    yield Example(image=arrays[f"image{k}"], truth=arrays[f"truth{k}"])


def main() -> None:
    """Write films of training and of tuning."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the films")
    parser.add_argument("--films", type=int, default=2500, help="films of training")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--tune", type=int, default=100, help="films of tuning")
    args = parser.parse_args()
    prepare(args.data, TRAIN[args.first : args.films])
    prepare(args.data, TUNE[: args.tune])


if __name__ == "__main__":
    main()
