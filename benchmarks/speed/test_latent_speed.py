"""The search for pose by rings beside decoding at every pose, in one run, one thread.

OMP_NUM_THREADS=1 python -m pytest benchmarks/speed/test_latent_speed.py
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grainscout.analysis.latent import ImageOptions
from grainscout.analysis.latent._networks import one_thread
from grainscout.analysis.latent._pose import ANGLES, Poses
from grainscout.analysis.latent._rotation import image_model

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
                at = Poses(
                    angle=none + k * 2 * math.pi / ANGLES,
                    shift=shift.expand(4, 2),
                    angle_sigma=none,
                    shift_sigma=none,
                    divergence=none,
                )
                found = model.decode(content, model.grid.pixels, at).transpose(1, 2)
                (read.pixels - found).square().sum((1, 2))

    def rings() -> None:
        model.pose(read, content, draw=False)

    with torch.no_grad(), one_thread():
        benchmark(rings if how == "rings" else brute)
