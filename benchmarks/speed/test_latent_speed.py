"""The search for pose by rings beside decoding at every pose; a whole training beside the published one.

OMP_NUM_THREADS=1 python -m pytest benchmarks/speed/test_latent_speed.py

Target: a dual map of 210 pairs trained in 60 s on two cores; it takes one.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grainscout.analysis.latent import DualVAE, ImageOptions, PublishedDualVAE, Training
from grainscout.analysis.latent.networks import one_thread
from grainscout.analysis.latent.pose import ANGLES, Poses
from grainscout.analysis.latent.rotation import image_model

WIDTHS = ("angle_sigma", "shift_sigma", "divergence")
PATCHES = np.random.default_rng(0).normal(size=(4, 1, 16, 16))


@pytest.mark.parametrize("how", ["rings", "brute force"])
@pytest.mark.benchmark(group="pose of 4 patches")
def test_pose(benchmark, how: str) -> None:
    model = image_model(ImageOptions(), PATCHES, torch.Generator().manual_seed(0))
    read = model.read(torch.from_numpy(PATCHES.astype(np.float32)))
    content = torch.zeros(4, 2)

    def brute() -> None:
        none = torch.zeros(4)
        for k in range(ANGLES):
            for shift in model.grid.shifts:
                angle, widths = none + k * 2 * math.pi / ANGLES, dict.fromkeys(WIDTHS, none)
                at = Poses(angle=angle, shift=shift.expand(4, 2), **widths)
                found = model.decode(content, model.grid.pixels, at).transpose(1, 2)
                (read.pixels - found).square().sum((1, 2))

    def rings() -> None:
        model.pose(read, content, draw=False)

    with torch.no_grad(), one_thread():
        benchmark(rings if how == "rings" else brute)


@pytest.mark.parametrize("which", ["ours, all 120 epochs", "published, 50 of 1000 steps"])
@pytest.mark.benchmark(group="training on 210 pairs")
def test_training(benchmark, which: str) -> None:
    rng = np.random.default_rng(0)
    patches, spectra = rng.normal(size=(210, 1, 16, 16)), rng.normal(size=(210, 251))

    def ours() -> None:
        # Patience of as many epochs: no early stop makes it look quicker than it may be.
        DualVAE.fit(patches, spectra, training=Training(epochs=120, patience=120))

    def published() -> None:
        PublishedDualVAE.fit(patches, spectra, steps=50)

    benchmark.pedantic(ours if which.startswith("ours") else published, rounds=1)
