"""Train the boundary detector that policies ship, and say how good it is.

    python -m grainscout.benchmarks.detector.train --out FOLDER        five minutes of one core
    python -m grainscout.benchmarks.detector.train --out FOLDER --real DATA    also on real images

Writes ``boundary.npz`` (weights, half precision) and ``boundary.json`` (what it was trained on, and its
evaluation) into FOLDER.  The training films are drawn from a wide range of grain sizes, surfaces, tips
and artefacts, a tenth of them with hardly a boundary; none is a preset's, and all evaluation films have
other seeds.  Everything follows from SEED.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from grainscout.benchmarks.detector.score import evaluate
from grainscout.microstructure.detector import (
    MEMBERS,
    initial_weights,
    logits,
    pack_ensemble,
    relief,
)
from grainscout.records.arrays import BoolArray
from grainscout.simulator import PRESETS, Film, FilmSpec, GrainSpec

SEED, FILMS, SIDE, CROP, BATCH, RATE = 20260, 60, 96, 64, 8, 3e-3
_NEAR = 1.5  # pixels from a boundary line that the detector is to find


def random_spec(rng: np.random.Generator) -> FilmSpec:
    """A film unlike any preset: grains of 10 to 40 pixels, blunt or sharp tips, clean or bad images."""
    base = PRESETS["reference"]
    mean = float(np.exp(rng.uniform(np.log(200.0), np.log(800.0))))
    if rng.random() < 0.1:
        mean = 1800.0  # one or two grains in the frame
    noise = float(np.exp(rng.uniform(np.log(0.2), np.log(5.0))))
    grains = GrainSpec(
        mean_nm=mean,
        ln_sd=float(rng.uniform(0.1, 0.5)),
        warp_nm=float(rng.uniform(0.0, 0.07)) * mean,
        asymmetric_share=float(rng.uniform(0.0, 0.5)),
    )
    topography = replace(
        base.topography,
        dome_nm=float(rng.uniform(15.0, 80.0)),
        dome_sd_nm=float(rng.uniform(5.0, 30.0)),
        flank_nm=float(rng.uniform(50.0, 140.0)),
        flank_power=float(rng.uniform(1.0, 2.0)),
        undulation_nm=float(rng.uniform(0.0, 60.0)),
        groove_depth_nm=float(rng.uniform(1.0, 10.0)),
        roughness_nm=float(rng.uniform(0.2, 3.0)),
    )
    scan = replace(
        base.scan,
        tip_radius_nm=float(rng.uniform(0.0, 120.0)),
        noise_nm=noise * base.scan.noise_nm,
        line_nm=noise * base.scan.line_nm,
        line_walk_nm=noise * base.scan.line_walk_nm,
        scars=2.0 * noise,
    )
    return replace(base, rows=SIDE, columns=SIDE, grains=grains, topography=topography, scan=scan)


def training_set(films: int, seed: int) -> tuple[NDArray[np.float32], BoolArray]:
    """(films, SIDE, SIDE) reliefs, and whether a boundary line is within 1.5 pixels."""
    rng = np.random.default_rng(seed)
    reliefs, near = [], []
    for k in range(films):
        film = Film.generate(random_spec(rng), np.random.SeedSequence([seed, k]))
        reliefs.append(relief(film.scan().height))
        near.append(film.structure.boundary_distance <= _NEAR * film.pixel_size[0])
    return np.stack(reliefs), np.stack(near)


def train_member(
    reliefs: NDArray[np.float32], near: BoolArray, steps: int, seed: int
) -> dict[str, Tensor]:
    """One member: Adam with a cosine schedule on random crops, turned and mirrored."""
    rng = np.random.default_rng(seed)
    weights = {k: w.requires_grad_() for k, w in initial_weights(seed).items()}
    optimiser = torch.optim.Adam(weights.values(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        crops = [_crop(reliefs, near, rng) for _ in range(BATCH)]
        x, y = (torch.as_tensor(np.stack(part)[:, None]) for part in zip(*crops, strict=True))
        # Plain cross-entropy: balanced classes would find more and be wrong about how sure it is.
        loss = functional.binary_cross_entropy_with_logits(logits(weights, x), y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
        schedule.step()
    print(f"member {seed}: last loss {float(loss.detach()):.3f}", flush=True)
    return {k: w.detach() for k, w in weights.items()}


def _crop(
    reliefs: NDArray[np.float32], near: BoolArray, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    film, row, column = (int(rng.integers(n)) for n in (len(reliefs), *[SIDE - CROP + 1] * 2))
    part = np.s_[film, row : row + CROP, column : column + CROP]
    turns, mirror = int(rng.integers(4)), int(rng.choice([-1, 1]))
    x, y = (np.rot90(a[part], turns)[:, ::mirror].astype(np.float32) for a in (reliefs, near))
    return x, y


def main() -> None:
    """Train, store, evaluate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of boundary.npz and .json")
    parser.add_argument("--real", type=Path, help="folder of real images to look at, too")
    parser.add_argument("--films", type=int, default=FILMS, help="training films")
    parser.add_argument("--steps", type=int, default=850, help="steps of each member")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()
    reliefs, near = training_set(args.films, SEED)
    members = [train_member(reliefs, near, args.steps, SEED + k) for k in range(MEMBERS)]
    np.savez_compressed(args.out / "boundary.npz", **pack_ensemble(members))  # type: ignore[arg-type]
    spent = time.process_time() - begun
    report: dict[str, Any] = {
        "trained": {
            "films": args.films,
            "side_px": SIDE,
            "steps": args.steps,
            "batch": BATCH,
            "members": MEMBERS,
            "seed": SEED,
            "cpu_s": round(spent),
        },
        **evaluate(pack_ensemble(members), args.real),
    }
    (args.out / "boundary.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()
