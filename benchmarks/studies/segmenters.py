"""How well are grains, boundaries and junctions of an image found?  Against films of known truth.

    python benchmarks/studies/segmenters.py            the tables (a minute of one core)
    python benchmarks/studies/segmenters.py --smoke    seconds, to see that it runs

Eight films of each specification, seeds 9000 and up, no two alike. Answers: ``image`` is what
`grainscout.microstructure` finds, ``network`` the shipped edge detectors above their threshold (it
knows no grains). Scores: precision, recall, F1 of boundary pixels (2 px); F1 of junctions, one to one
(3 px); 1 - adapted Rand error; grains found per grain shown; correlation of the signed asymmetry, and
of the ratio of the flanks, with the truth within 5 px of a true boundary; CPU time. Intervals are
95 %, by bootstrap over films. Record 0125 has the table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from skimage.metrics import adapted_rand_error
from threadpoolctl import threadpool_limits

from grainscout.analysis.statistics import interval
from grainscout.analysis.statistics.estimates import mean
from grainscout.benchmarks.detector.score import boundary_f1
from grainscout.microstructure import SegmentationSpec, Structure, find_structure
from grainscout.microstructure.detector import THRESHOLD, detect
from grainscout.microstructure.features import flank_ratio
from grainscout.records import Scan
from grainscout.simulator import PRESETS, Film, FilmSpec

FIRST_SEED, FILMS, JUNCTION, NEAR = 9000, 8, 3.0, 5.0
_NAMES = (
    "reference",
    "Gong2026",
    "Liu2023",
    "voronoi",
    "clean",
    "hard-1",
    "hard-2",
    "hard-3",
    "tiny",
)
_REF = PRESETS["reference"]
SPECS: dict[str, FilmSpec] = {n: PRESETS[n] for n in _NAMES} | {
    "11 px grains": replace(_REF, grains=replace(_REF.grains, mean_nm=220.0, warp_nm=10.0)),
    "45 px grains": replace(_REF, grains=replace(_REF.grains, mean_nm=900.0)),
    "blunt tip": replace(_REF, scan=replace(_REF.scan, tip_radius_nm=200.0)),
    "10 nm pixels": replace(_REF, row_nm=10.0, column_nm=10.0),
    "256 x 256": replace(_REF, rows=256, columns=256),
}

#: Boundary pixels and, where an answer has them, labels of the grains and maps of asymmetry.
Found = tuple[NDArray[np.bool_], NDArray[Any] | None, dict[str, NDArray[np.float64]]]


def _image(scan: Scan) -> Found:
    s = find_structure(scan.height, scan.pixel_size, SegmentationSpec())
    return s.boundary, s.labels, {"asymmetry": s.asymmetry, "flanks": flank_ratio(s)}


ANSWERS: dict[str, Callable[[Scan], Found]] = {
    "image": _image,
    "network": lambda scan: (detect(scan).probability > THRESHOLD, None, {}),
}


def junction_f1(labels: NDArray[Any], vertices: NDArray[np.float64]) -> float:
    """F1 of pixel corners at which three labels meet. Each of (k, 2) true vertices matches one."""
    block = np.stack([labels[:-1, :-1], labels[:-1, 1:], labels[1:, :-1], labels[1:, 1:]], -1)
    found = np.argwhere((np.diff(np.sort(block, axis=-1), axis=-1) != 0).sum(-1) >= 2) + 0.5
    size = np.array(labels.shape) - 1
    # Vertices just outside the frame may be matched, but are not missed.
    vertices = vertices[((vertices >= -JUNCTION) & (vertices <= size + JUNCTION)).all(1)]
    inside = np.asarray(((vertices >= 0) & (vertices <= size)).all(1))
    near = cdist(found, vertices) <= JUNCTION
    at, to = linear_sum_assignment(near, maximize=True)
    precision = near[at, to].sum() / max(len(found), 1)
    recall = (near[at, to] & inside[to]).sum() / max(int(inside.sum()), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-12))


def scores(found: Found, true: Structure) -> dict[str, float]:
    """Every score that the answer allows."""
    boundary, labels, asymmetry = found
    out = boundary_f1(boundary, true.boundary)
    if labels is not None:
        out["junction f1"] = junction_f1(labels, true.vertices[:, :2])
        # Without ignore_labels the grain of label 0 would pass for background.
        out["grains"] = 1 - adapted_rand_error(true.labels, labels, ignore_labels=())[0]  # type: ignore[no-untyped-call]
        out["count"] = np.unique(labels).size / np.unique(true.labels).size
    near = true.boundary_distance <= NEAR * max(true.pixel_size)
    truth = true.asymmetry[near]
    for name, values in asymmetry.items():
        if truth.std() > 0:
            some = values[near]
            out[name] = float(np.corrcoef(some, truth)[0, 1]) if some.std() > 0 else 0.0
    return out


def study(specs: dict[str, FilmSpec], films: int) -> pd.DataFrame:
    """A row a film and answer. No two films are alike."""
    rows = []
    for k, (name, seed) in enumerate((n, s) for n in specs for s in range(films)):
        film = Film.generate(specs[name], FIRST_SEED + 100 * (k // films) + seed)
        scan = film.scan()
        for answer, find in ANSWERS.items():
            begun = time.process_time()
            found, ended = find(scan), time.process_time()
            row = {"spec": name, "film": k, "answer": answer, **scores(found, film.structure)}
            rows.append(row | {"CPU ms": 1e3 * (ended - begun)})
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """Means with intervals, in Markdown."""
    names = [str(c) for c in rows if c not in ("spec", "film", "answer")]
    lines = [f"| film | answer | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for spec, some in [*rows.groupby("spec", sort=False), ("all", rows)]:
        for answer, part in some.groupby("answer", sort=False):
            cells = [f"{spec}", f"{answer}"]
            for name in names:
                if part[name].isna().all():
                    cells.append("")
                    continue
                i = interval(part[name].dropna(), task=part["spec"], statistic=mean)
                cells.append(f"{i.estimate:.3f} [{i.low:.3f}, {i.high:.3f}]")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="two films of one small kind")
    rows = study({"tiny": SPECS["tiny"]}, 2)
    if not parser.parse_args().smoke:  # the weights are loaded by now
        rows = study(SPECS, FILMS)
    print(table(rows))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
