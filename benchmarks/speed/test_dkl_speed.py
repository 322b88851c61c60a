"""The deep-kernel step and whole run beside the published loop, in one run, one thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
        python -m pytest benchmarks/speed/test_dkl_speed.py --benchmark-group-by=group

A step is: learn from n = 210 measurements, mean and standard deviation at 12 769 candidates, choose.
The published loop is :class:`PublishedLoop` (same network, kernel and cycles as AtomAI's dklGPR);
its one timed step is the unit of the ratios that are printed.  A whole published run of 10 + 200
steps costs about 2 525 CPU s, or 101 of its steps at n = 210 (measured once with AtomAI itself).
"""

import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from grainscout.analysis.curves.descriptors import describe
from grainscout.policies import make_policy
from grainscout.policies.models import features
from grainscout.policies.models.features import feature_table
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.kernels import ArcCosine
from grainscout.policies.models.mlp_dkl import Ensemble
from grainscout.policies.models.surrogates import Surrogate
from grainscout.policies.peers.mlp_published import PublishedLoop
from grainscout.records import Budget, IVCurve, Outcome, Problem, Scan, Waveform
from grainscout.simulator import PRESETS, Film

N, STEPS_OF_A_PUBLISHED_RUN = 210, 2525 / 25.0
GRID = np.mgrid[8:121, 8:121].reshape(2, -1)
POOL = np.ravel_multi_index((GRID[0], GRID[1]), (128, 128))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def problem() -> Problem:
    film = Film.generate(PRESETS["reference"], 1)
    return Problem(
        scan=film.scan(), candidates=GRID.T, waveform=Waveform.triangle(), budget=Budget(curves=N)
    )


@pytest.fixture(scope="module")
def current(problem: Problem) -> np.ndarray:
    clean, _ = Film.generate(PRESETS["reference"], 1).curves(problem.candidates, problem.waveform)
    return clean + np.random.default_rng(0).normal(0.0, 2e-12, clean.shape)


@pytest.fixture(scope="module")
def data(problem: Problem, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.random.default_rng(1).permutation(len(POOL))[:N]
    return POOL[chosen], describe("loop_area", problem.waveform.voltage, current[chosen]).value


@pytest.fixture(scope="module")
def unit(problem: Problem, data: tuple[np.ndarray, np.ndarray]) -> float:
    """CPU seconds of one step of the published loop, timed in this run."""
    loop = PublishedLoop(problem.scan, POOL)
    with warnings.catch_warnings():
        # Its interpolated covariance loses variances to rounding, and gpytorch says so.
        warnings.filterwarnings("ignore", message="Negative variance")
        start = time.process_time()
        loop.fit(*data)
        loop.predict()[1].argmax()
        return time.process_time() - start


@pytest.mark.parametrize("kind", ["cold", "warm", "update"])
def test_step(benchmark, problem, data, unit, kind):
    """The model of ``dkl`` as it comes: from the prior, from the last optimum, or one more point
    without a refit; the features of the image are there already."""
    rows, y = data

    def ready() -> tuple[tuple[Surrogate], dict[str, object]]:
        policy = make_policy("dkl", {"refit_growth": 1.0 if kind == "update" else 0.0})
        policy.reset(problem, rng=np.random.default_rng(0))
        model = policy.surrogate
        if kind != "cold":
            model.fit(rows[:-1], y[:-1])
        return (model,), {}

    def step(model: Surrogate) -> int:
        model.fit(rows, y)
        return int(model.predict()[1].argmax())

    benchmark.group = "step at n = 210"
    benchmark.pedantic(step, setup=ready, rounds=15)
    benchmark.extra_info["times faster"] = round(unit / benchmark.stats["min"])
    print(f"\n{kind}: {unit / benchmark.stats['min']:.0f} times faster than {unit:.1f} s")


def test_ensemble_step(benchmark, problem, data, unit):
    """Eight learned deep kernels, trained from their initial weights."""
    model = Ensemble(feature_table(problem.scan), POOL, growth=0.0)
    benchmark.group = "step at n = 210"
    benchmark.pedantic(lambda: (model.fit(*data), model.predict()), rounds=2)
    benchmark.extra_info["times faster"] = round(unit / benchmark.stats["min"])


@pytest.mark.parametrize(
    ("name", "growth"),
    [("dkl", 0.0), ("dkl", 0.2), ("dual-novelty", 0.2), ("map", 0.25), ("scout", 0.25)],
)
def test_whole_run(benchmark, problem, current, unit, name, growth):
    """10 + 200 asks and tells, the policy's own time, descriptors included; the last four as they come."""
    curves = [
        IVCurve(voltage=problem.waveform.voltage, current=c, time=problem.waveform.time)
        for c in current
    ]
    index = {tuple(s): k for k, s in enumerate(problem.candidates.tolist())}
    spent = []

    def run() -> None:
        policy = make_policy(name, {"refit_growth": growth})
        features.TABLES.clear()  # a run reads the image itself
        start = time.process_time()
        policy.reset(problem, rng=np.random.default_rng(0))
        for _ in range(N):
            (proposal,) = policy.ask()
            curve = curves[index[tuple(proposal.site)]]
            answer = {"site": proposal.site, "proposal_id": proposal.id}
            policy.tell([Outcome(status="ok", curve=curve, **answer)])
        spent.append(time.process_time() - start)

    benchmark.group = "whole run of 10 + 200"
    benchmark.pedantic(run, rounds=2)
    ratio = unit * STEPS_OF_A_PUBLISHED_RUN / min(spent)
    benchmark.extra_info["CPU s"] = round(min(spent), 3)
    benchmark.extra_info["times faster"] = round(ratio)
    print(f"\n{name}, growth {growth}: {min(spent):.2f} CPU s, {ratio:.0f} times faster")


@pytest.mark.parametrize("side", [128, 256, 512, 1024])
def test_large_images(benchmark, side):
    """One full step (cold features excluded) at n = 210 with every pixel a candidate."""
    image = np.random.default_rng(0).normal(size=(side, side))
    table = feature_table(Scan(channels={"height": image}, pixel_size=(1e-8, 1e-8)))
    rows = np.random.default_rng(1).permutation(side * side)[:N]
    y = np.tanh(table[rows, 0].astype(float))
    model = GaussianProcess(table, np.arange(side * side), ArcCosine(), growth=0.0)
    model.fit(rows[:-1], y[:-1])
    benchmark.group = "candidates"
    benchmark.pedantic(lambda: (model.fit(rows, y), model.predict()), rounds=1)


def test_two_thousand_points(benchmark, problem):
    """A warm refit and prediction everywhere at n = 2 000."""
    table = feature_table(problem.scan)
    rng = np.random.default_rng(2)
    rows = rng.permutation(POOL)[:2000]
    y = np.tanh(3 * table[rows, 0].astype(float)) + 0.3 * rng.normal(size=2000)
    model = GaussianProcess(table, POOL, ArcCosine(), growth=0.0)
    model.fit(rows[:1990], y[:1990])
    benchmark.group = "many points"
    benchmark.pedantic(lambda: (model.fit(rows, y), model.predict()), rounds=1)
