"""How good a structure reader is: against truth, and on images unlike those that it learnt from."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from grainscout.benchmarks.reader.films import JUDGE, random_spec, true_maps
from grainscout.microstructure.network import Trained
from grainscout.microstructure.reader import MAPS, StructureReading, read_height, read_structure
from grainscout.records import BoolArray
from grainscout.simulator import PRESETS, Film, FilmSpec
from grainscout.simulator.ising import IsingSpec, simulate

TOLERANCE = 2.0  # pixels
THRESHOLD = 0.5  # of the boundary's proximity: there a boundary is drawn
_REF = PRESETS["reference"]
_NAMES = ("reference", "Gong2026", "Liu2023", "clean", "hard-1", "hard-2", "hard-3", "voronoi")
KINDS: dict[str, FilmSpec] = {n: PRESETS[n] for n in _NAMES} | {
    "250 nm grains": replace(_REF, grains=replace(_REF.grains, mean_nm=250.0, warp_nm=14.0)),
    "800 nm grains": replace(_REF, grains=replace(_REF.grains, mean_nm=800.0)),
    "tip 30 nm": replace(_REF, scan=replace(_REF.scan, tip_radius_nm=30.0)),
    "tip 150 nm": replace(_REF, scan=replace(_REF.scan, tip_radius_nm=150.0)),
    "10 nm pixels": replace(_REF, rows=256, columns=256, row_nm=10.0, column_nm=10.0),
    "40 nm pixels": replace(_REF, row_nm=40.0, column_nm=40.0),
}


def boundary_f1(
    found: BoolArray, true: BoolArray, tolerance: float = TOLERANCE
) -> dict[str, float]:
    """Precision, recall and F1 of found boundary pixels, each matched within `tolerance` pixels."""
    if not found.any() or not true.any():
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    precision = float((distance_transform_edt(~true)[found] <= tolerance).mean())
    recall = float((distance_transform_edt(~found)[true] <= tolerance).mean())
    both = precision + recall
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / both if both else 0.0,
    }


def evaluate(trained: Trained, count: int) -> dict[str, Any]:
    """Scores on `count` films of JUDGE of every kind, and what is said of images without grains."""
    drawn = [random_spec(np.random.default_rng([seed, 1])) for seed in JUDGE[: 6 * count]]
    specs = {"as trained": drawn} | {name: [spec] * count for name, spec in KINDS.items()}
    films = {}
    for k, (name, some) in enumerate(specs.items()):
        pairs = zip(some, JUDGE[40 * k :], strict=False)
        films[name] = judged([Film.generate(spec, seed) for spec, seed in pairs], trained)
    others = {}
    for name, image in strangers().items():
        reading = read_height(image, 2e-8, trained)
        others[name] = {
            "familiarity": reading.familiarity,
            "sd": {m: float(reading.sd[m].mean()) for m in MAPS},
        }
    rounded: dict[str, Any] = _rounded({"films": films, "other_images": others})
    return rounded


def judged(films: list[Film], trained: Trained | None = None) -> dict[str, Any]:
    """R^2 over all pixels, error over stated deviation, coverage, F1 at 2 pixels, familiarity."""
    readings = [read_structure(film.scan(), trained) for film in films]
    truths = [true_maps(film) for film in films]
    found: dict[str, Any] = {"r2": {}, "error_over_sd": {}, "within_1.64_sd": {}}
    for name in MAPS:
        # Of asymmetry only what is near a boundary is of use.
        near = [
            t["boundary"] > 0.1 if name in ("strength", "asymmetry") else np.ones(f.shape, bool)
            for t, f in zip(truths, films, strict=True)
        ]
        y = np.concatenate([t[name][w] for t, w in zip(truths, near, strict=True)])
        m = np.concatenate([r.maps[name][w] for r, w in zip(readings, near, strict=True)])
        s = np.concatenate([r.sd[name][w] for r, w in zip(readings, near, strict=True)])
        error = m - y
        found["r2"][name] = 1.0 - (error**2).mean() / max(y.var(), 1e-12)
        found["error_over_sd"][name] = np.sqrt(((error / s) ** 2).mean())
        found["within_1.64_sd"][name] = (np.abs(error) < 1.645 * s).mean()
    pairs = list(zip(readings, films, strict=True))
    found["f1"] = np.mean([f1(r, film)["f1"] for r, film in pairs])
    found["familiarity"] = np.mean([r.familiarity for r in readings])
    return found


def f1(reading: StructureReading, film: Film) -> dict[str, float]:
    """F1 at 2 pixels of boundaries drawn where their proximity is above the threshold."""
    return boundary_f1(reading.maps["boundary"] > THRESHOLD, film.structure.boundary)


def strangers() -> dict[str, NDArray[np.float64]]:
    """Images [m] without a grain boundary."""
    rng = np.random.default_rng(JUDGE.start)
    plain = 1e-9 * rng.standard_normal((128, 128))
    wave = 3e-8 * np.sin(np.arange(128) / 6.0)
    temperature = {"cold": 1.5, "critical": 2.27, "hot": 4.0}
    images = {"white noise": plain, "stripes": wave + 0.1 * plain, "loud noise": 40.0 * plain}
    specs = [
        IsingSpec(size=128, temperature=t, sweeps=50, warmup=150) for t in temperature.values()
    ]
    for name, spins in zip(temperature, simulate(specs, rng).spins, strict=True):
        images[f"Ising lattice, {name}"] = 1e-9 * spins.astype(np.float64)
    return images


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(float(value), 3)
