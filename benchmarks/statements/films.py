"""Published statements about films, tested on simulated films.

Those about grains and contacts follow from the simulator's settings, so they are built in: they say that it was
built as published, not that the mechanism is right.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import spearmanr

from grainscout.analysis.curves.descriptors import describe
from grainscout.benchmarks.campaign.cell import film_seed
from grainscout.benchmarks.statements.statement import Finding, judge
from grainscout.benchmarks.tasks.environment import make_environment
from grainscout.benchmarks.tasks.score import JUNCTION_M
from grainscout.benchmarks.tasks.task import Task
from grainscout.policies.models.kernels import Stationary
from grainscout.policies.models.structure_means import MeanModel
from grainscout.policies.models.structured_gp import StructuredGP
from grainscout.records import BoolArray, FloatArray, IntArray, Problem
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.verification.transport import verify

_SIDE = 16
_AXIS = np.linspace(0.05, 0.95, _SIDE)

#: (256, 2) pairs of couplings, and whether the infinite lattice is ordered there.
COUPLINGS: FloatArray = np.column_stack([np.repeat(_AXIS, _SIDE), np.tile(_AXIS, _SIDE)])
CRITICAL: FloatArray = np.sinh(2 * COUPLINGS[:, 0]) * np.sinh(2 * COUPLINGS[:, 1])
ORDERED: BoolArray = CRITICAL > 1.0


def magnetisation(
    rng: np.random.Generator, *, size: int = 14, sweeps: int = 800, burn: int = 200
) -> FloatArray:
    """(256,) mean |m| per spin at all couplings: checkerboard heat bath from the ground state."""
    spins = np.ones((len(COUPLINGS), size, size), np.float32)
    along, across = COUPLINGS.T.astype(np.float32)[:, :, None, None]
    board = np.indices((size, size)).sum(0) % 2
    total = np.zeros(len(COUPLINGS))
    for sweep in range(sweeps):
        for colour in (0, 1):
            field = along * (np.roll(spins, 1, 2) + np.roll(spins, -1, 2))
            field += across * (np.roll(spins, 1, 1) + np.roll(spins, -1, 1))
            up = rng.random(spins.shape, np.float32) < 1.0 / (1.0 + np.exp(-2.0 * field))
            spins = np.where(board == colour, 2 * up.astype(np.float32) - 1, spins)
        if sweep >= burn:
            total += abs(spins.mean((1, 2)))
    mean: FloatArray = total / (sweeps - burn)
    return mean


def _boundary_basis(couplings: FloatArray, shape: FloatArray) -> FloatArray:
    j = (couplings - 0.5) / 0.5
    f = shape[0] + j * (shape[1] + j * (shape[2] + j * shape[3]))
    return np.column_stack([np.ones(len(j)), np.tanh(f.sum(1))])


# No idea where the boundary is, nor on which side the order: the prior is centred on nothing.
STRUCTURED = MeanModel(
    name="boundary",
    basis=_boundary_basis,
    scale=np.array([1.0, 1.0]),
    shape=np.array([[0.0, 1.5], [0.0, 3.0], [0.0, 1.5], [0.0, 1.5]]),
)
PLAIN = MeanModel(name="constant", basis=lambda z, _: np.ones((len(z), 1)), scale=np.array([1.0]))


def errors(mean: MeanModel, values: FloatArray, seed: int, *, steps: int = 8) -> FloatArray:
    """(steps,) share of the plane in the wrong phase after 3, 4, ... measurements of `values`."""
    rng = np.random.default_rng(seed)
    y = values + 0.02 * rng.normal(size=len(values))
    rows = [int(r) for r in rng.choice(len(y), 3, replace=False)]
    features = ((COUPLINGS - 0.5) / 0.45).astype(np.float32)
    wrong = []
    for _ in range(steps):
        gp = StructuredGP(
            features, COUPLINGS, np.arange(len(y)), Stationary(), mean, particles=128, seed=seed
        )
        gp.fit(np.array(rows), y[rows])
        mu, std = gp.predict()
        wrong.append(np.mean((mu > 0.5) != ORDERED))
        std[rows] = -1.0
        rows.append(int(std.argmax()))
    return np.array(wrong)


_SITES = 1500  # candidates of a film whose curves are computed
_INTERIOR_M = 60e-9  # from a boundary: well inside a grain
_SUNS = 0.1  # Liu2023
_FLOOR = 1e-12  # [A] what an amplifier would call no current


def film_findings(tasks: Sequence[Task], films: int, seed: int) -> Iterator[Finding]:
    """The statements of Liu2023, Gong2026 and MRS about films and models, on `films` films of each task."""
    yield from _share_of_the_image(tasks)
    yield from _light_and_junctions(_first(tasks, "Liu2023"), films, seed)
    yield from _hysteresis(_first(tasks, "gong2026-fitted", "Gong2026"), films, seed)
    yield from _windows()
    yield from _ising(films)


def _share_of_the_image(tasks: Sequence[Task]) -> Iterator[Finding]:
    pixels = [t for t in tasks if t.curves == 210]
    if not pixels:
        return
    rows, columns = make_environment(pixels[0], 0).problem().scan.shape
    share = 200 / (rows * columns)
    yield judge(
        "200 steps are about 1.2 % of the image",
        "Liu2023",
        f"{rows} x {columns} pixels",
        "0.05 % less the share's distance from 1.2 % (in %)",
        [0.05 - abs(100 * share - 1.2)] * 2,
        task=["image"] * 2,
        note=f"{share:.2%}",
        built_in=True,
    )


def _light_and_junctions(tasks: Sequence[Task], films: int, seed: int) -> Iterator[Finding]:
    """Junctions insulate in the dark and conduct in light. The maximum current is higher in light."""
    dark, light, gain, strata = [], [], [], []
    for name, problem, truth, sites in _scenes(tasks, films, seed):
        junction = truth.structure.junction_distance[tuple(sites.T)]
        inside = truth.structure.boundary_distance[tuple(sites.T)]
        top = [
            np.maximum(truth.curves(sites, problem.waveform, light=suns)[0].max(axis=1), _FLOOR)
            for suns in (0.0, _SUNS)
        ]
        at, off = junction < JUNCTION_M / 4, inside > _INTERIOR_M
        ratio = [float(np.median(t[at]) / np.median(t[off])) for t in top]
        dark.append(-np.log10(ratio[0] / 0.5))
        light.append(np.log10(ratio[1] / 0.5))
        gain.append(float(np.log10(np.median(top[1] / top[0]))))
        strata.append(name)
    if not strata:
        return
    insulate = "log10 of half the interior's current over theirs"
    for text, measure, values in (
        ("junctions insulate in the dark", insulate, dark),
        ("... and conduct in light", "log10 of their current over half the interior's", light),
        ("the maximum current is higher in light", "log10 of light over dark, median site", gain),
    ):
        words = (text, "Liu2023", "Liu2023 films, truth", measure)
        yield judge(*words, values, task=strata, built_in=True)


def _hysteresis(tasks: Sequence[Task], films: int, seed: int) -> Iterator[Finding]:
    """Hysteresis grows from interior to boundary."""
    found, strata = [], []
    for name, problem, truth, sites in _scenes(tasks, films, seed):
        current, _ = truth.curves(sites, problem.waveform, light=_SUNS)
        loop = describe("loop_area", problem.waveform.voltage, current)
        near = truth.structure.boundary_distance[tuple(sites.T)]
        ok = loop.valid & np.isfinite(near)
        found.append(float(-spearmanr(near[ok], loop.value[ok]).statistic))
        strata.append(name)
    if strata:
        yield judge(
            "hysteresis grows from interior to boundary",
            "Gong2026",
            "films like Gong2026's in light, truth",
            "rank correlation of loop area with nearness",
            found,
            task=strata,
            built_in=True,
        )


def _scenes(
    tasks: Sequence[Task], films: int, seed: int
) -> Iterator[tuple[str, Problem, Film, IntArray]]:
    """Task, problem, film and random candidates of each simulated film."""
    for task in tasks:
        for film in range(films):
            environment = make_environment(task, film_seed(seed, task.id, film))
            problem, truth = environment.problem(), environment.film
            if truth is not None:
                some = np.random.default_rng(film).permutation(len(problem.candidates))[:_SITES]
                yield task.id, problem, truth, problem.candidates[some]


def _windows() -> Iterator[Finding]:
    """Windows of the loops of club, heart and diamond."""
    kinds = ("club", "heart", "diamond", "spread of a film")
    checks = [c for c in verify() if c.name.startswith(kinds)]
    passed = [float(c.passed) - 0.5 for c in checks]
    yield judge(
        "windows of club, heart and diamond",
        "Gong2026",
        "the model's curves, and their spread over a film",
        f"share of {len(checks)} checks that pass, less a half",
        passed,
        task=["model"] * len(passed),
        note="`grainscout simulate --verify` lists them",
        built_in=True,
    )


def _ising(films: int) -> Iterator[Finding]:
    """A structured GP localises the Ising boundary earlier than a plain one."""
    repeats = max(films, 5)
    worlds = [magnetisation(np.random.default_rng(k)) for k in range(2)]
    gain = [
        float(np.mean(errors(PLAIN, world, seed)) - np.mean(errors(STRUCTURED, world, seed)))
        for world in worlds
        for seed in range(repeats)
    ]
    strata = [f"lattice {k}" for k in range(2) for _ in range(repeats)]
    yield judge(
        "a structured GP localises the Ising boundary earlier than a plain GP",
        "MRS",
        "square lattice, unequal couplings",
        "share of the plane in the wrong phase, plain less structured, over the first 10 measurements",
        gain,
        task=strata,
    )


def _first(tasks: Sequence[Task], *films: str) -> list[Task]:
    """One task on one of these films is enough: targets share their films' physics."""
    named = [(t, PRESETS.get(getattr(t.microscope, "film", ""))) for t in tasks]
    return [t for t, spec in named if spec in [PRESETS[film] for film in films]][:1]
