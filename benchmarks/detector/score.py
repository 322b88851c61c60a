"""How good a boundary detector is: against truth, and on images unlike those that it learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

from grainscout.analysis.formats import Recording, read
from grainscout.microstructure.detector import (
    THRESHOLD,
    Detection,
    Weights,
    detect,
    unpack_ensemble,
)
from grainscout.microstructure.features import structure_features
from grainscout.records import Scan
from grainscout.records.arrays import BoolArray, FloatArray
from grainscout.simulator import PRESETS, Film, FilmSpec
from grainscout.simulator.ising import IsingSpec, simulate

FIRST_SEED, FILMS = 90_000, 6
TOLERANCE = 2.0  # pixels
_BINS = 10


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


def calibration_error(probability: FloatArray, truth: BoolArray) -> float:
    """Expected calibration error: mean over pixels of |bin's share of truth - bin's mean probability|."""
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1).ravel()
    count = np.bincount(bins, minlength=_BINS)
    sure = np.bincount(bins, probability.ravel(), _BINS)
    right = np.bincount(bins, truth.ravel().astype(float), _BINS)
    return float(np.abs(sure - right).sum() / count.sum())


def evaluate(arrays: Mapping[str, NDArray[np.float16]], real: Path | None = None) -> dict[str, Any]:
    """Scores on films with known truth, and what it says of images without grains."""
    members = unpack_ensemble(arrays)
    reference = PRESETS["reference"]
    small = replace(reference, grains=replace(reference.grains, mean_nm=220.0, warp_nm=10.0))
    specs: dict[str, FilmSpec] = {
        name: PRESETS[name]
        for name in ("reference", "clean", "s23", "hard-1", "hard-2", "hard-3", "voronoi")
    }
    specs["11 px grains"] = small
    films = {name: _on_films(spec, members) for name, spec in specs.items()}
    others = {
        name: _told(scan, detect(scan, members))
        for name, scan in {**_strangers(), **({} if real is None else _real(real))}.items()
    }
    return {"films": films, "other_images": others}


def _on_films(spec: FilmSpec, members: tuple[Weights, ...]) -> dict[str, float]:
    rows = []
    for seed in range(FIRST_SEED, FIRST_SEED + FILMS):
        film = Film.generate(spec, seed)
        scan, true = film.scan(), film.structure.boundary
        found = detect(scan, members)
        mask = found.probability > THRESHOLD
        near = film.structure.boundary_distance <= 1.5 * film.pixel_size[0]
        classical = structure_features(scan).boundary == 0
        wrong = mask != near
        rows.append(
            {
                **boundary_f1(mask, true),
                "f1_thinned": boundary_f1(skeletonize(mask), true)["f1"],  # type: ignore[no-untyped-call]
                "classical_f1": boundary_f1(classical, true)["f1"],
                "classical_f1_thinned": boundary_f1(skeletonize(classical), true)["f1"],  # type: ignore[no-untyped-call]
                "calibration_error": calibration_error(found.probability, near),
                "brier": float(((found.probability - near) ** 2).mean()),
                "spread": float(found.spread.mean()),
                "spread_where_wrong": float(found.spread[wrong].mean()) if wrong.any() else 0.0,
            }
        )
    return {k: round(float(np.mean([r[k] for r in rows])), 3) for k in rows[0]}


def _strangers() -> dict[str, Scan]:
    """Images without a grain boundary."""
    rng = np.random.default_rng(FIRST_SEED)
    plain = 1e-9 * rng.standard_normal((128, 128))
    temperature = {"cold": 1.5, "critical": 2.27, "hot": 4.0}
    images = {"flat": np.full((128, 128), 5e-9), "white noise": plain}
    specs = [
        IsingSpec(size=128, temperature=t, sweeps=50, warmup=150) for t in temperature.values()
    ]
    for name, spins in zip(temperature, simulate(specs, rng).spins, strict=True):
        images[f"Ising lattice, {name}"] = 1e-9 * spins.astype(np.float64)
    return {k: _scan(v) for k, v in images.items()}


def _real(folder: Path) -> dict[str, Scan]:
    """Height images of the files in a folder that hold one."""
    found = {}
    for file in sorted(folder.iterdir()):
        if file.suffix not in (".h5", ".ibw", ".gwy", ".3ds"):
            continue
        got = read(file)
        scan = got.scan if isinstance(got, Recording) else got
        names = [n for n in scan.channels if "height" in n.lower()]
        if names:
            found[f"{file.name}, {names[0]}"] = _scan(scan.channel(names[0]))
    return found


def _scan(height: FloatArray) -> Scan:
    return Scan(channels={"height": height}, pixel_size=(2e-8, 2e-8))


def _told(scan: Scan, found: Detection) -> dict[str, float]:
    mask = found.probability > THRESHOLD
    classical = structure_features(scan).boundary == 0
    agree = boundary_f1(mask, classical)["f1"]
    numbers = {
        "boundary_share": float(mask.mean()),
        "classical_share": float(classical.mean()),
        "agreement_f1": agree,
        "spread": float(found.spread.mean()),
    }
    return {k: round(v, 3) for k, v in numbers.items()}
