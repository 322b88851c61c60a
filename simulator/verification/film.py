"""Known facts of grains, topography and scan, recomputed."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from grainscout.simulator.film.film import Film
from grainscout.simulator.film.mullins_groove import MULLINS_HUMP, MULLINS_ROOT, mullins
from grainscout.simulator.film.tessellation import cell_areas, tessellate
from grainscout.simulator.film.tip import dilate_by, erode_by, tip_shape
from grainscout.simulator.presets import PRESETS
from grainscout.simulator.verification.population import verify_population
from grainscout.simulator.verification.transport import Check

__all__ = ["verify_film"]


def verify_film(real_patches: str | Path | None = None) -> list[Check]:
    """Check grains, topography and scan, within some seconds.

    Parameters
    ----------
    real_patches : path or None
        An ``.npz`` with real curves and patches, see `verify_population`.

    Raises
    ------
    DataError
        That file cannot be read.
    """
    population: Iterable[Check] = ()
    if real_patches is not None:
        population = verify_population(real_patches)
    return [*_grains(), *_groove(), *_tip(), *_scan(), *population]


def _grains() -> Iterator[Check]:
    size = np.full(2, 1024 * 20.0)
    for target in (0.25, 0.35, 0.45):
        tess = tessellate(
            size,
            mean_diameter=440.0,
            ln_sd=target,
            equal_weights=False,
            warp=25.0,
            warp_length=176.0,
            rng=np.random.default_rng(1),
            warp_rng=np.random.default_rng(2),
        )
        inside = ((tess.sites > 0) & (tess.sites < size)).all(1)
        ln = np.log(np.sqrt(4 * cell_areas(tess)[inside] / math.pi))
        mean = float(np.exp(ln).mean()) / 440.0
        yield Check("mean grain diameter over the target", mean, low=0.97, high=1.03)
        yield Check(
            f"ln-sd of grain diameters, {target} asked",
            float(ln.std()),
            low=0.92 * target,
            high=1.08 * target,
        )
        distance = float(stats.kstest((ln - ln.mean()) / ln.std(), "norm").statistic)
        yield Check("... distance from lognormal (KS)", distance, high=0.05)
        yield Check(
            "... mean number of sides", float(tess.degree[inside].mean()), low=5.8, high=6.2
        )


def _groove() -> Iterator[Check]:
    u = np.linspace(0, 8, 80001)
    z = mullins(u)
    yield Check("Mullins groove, Z(0)", MULLINS_ROOT, low=-0.7802, high=-0.7800)
    yield Check("... distance of the humps", 2 * MULLINS_HUMP, low=4.599, high=4.605)
    yield Check("... height of the humps", float(z.max()), low=0.193, high=0.195)


def _tip() -> Iterator[Check]:
    height = Film.generate(PRESETS["tiny"], 1).height / 1e-9
    shape = tip_shape(float(np.ptp(height)), (20.0, 20.0), 76.0, math.radians(20.0))
    image = dilate_by(height, shape)
    opened = erode_by(image, shape)
    yield Check("dilated - true, least", float((image - height).min()), low=0.0, unit="nm")
    yield Check(
        "eroded(dilated) - true, least", float((opened - height).min()), low=-1e-9, unit="nm"
    )
    again = float(np.abs(erode_by(dilate_by(opened, shape), shape) - opened).max())
    yield Check("closing twice - once, largest", again, high=1e-9, unit="nm")


def _scan() -> Iterator[Check]:
    clean = replace(PRESETS["clean"], rows=64, columns=64)
    film = Film.generate(clean, 1)
    difference = float(np.abs(film.scan().height - film.dilated()).max()) / 1e-9
    yield Check("artefacts off: measured - dilated", difference, low=0.0, high=0.0, unit="nm")
