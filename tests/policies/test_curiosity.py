"""Curiosity: its errors are held-out errors, and its weights go from structure to error."""

import numpy as np
import pytest

from grainscout.policies import make_policy
from grainscout.policies.conformance import ToySample
from grainscout.policies.models.kernels import ArcCosine
from grainscout.policies.strategies.curiosity import RIDGES, held_out_errors
from grainscout.records import IVCurve, Outcome

TOY = ToySample(seed=1)
PROBLEM = TOY.problem(300)


def test_errors_are_those_of_models_fitted_without_the_curve():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(18, 4)) / 2.0
    curves = np.outer(np.sin(3 * x[:, 0]), np.linspace(0, 1, 7)) + 0.1 * rng.normal(size=(18, 7))
    kernel = ArcCosine(depth=2)
    gram, _ = kernel.gram(kernel.prepare(x), kernel.prior[:, 0])
    y = curves - curves.mean(0)
    y /= np.sqrt(np.mean(y**2))
    each = []
    for ridge in RIDGES * np.mean(np.diagonal(gram)):
        residual = np.empty_like(y)
        for i in range(18):
            rest = np.delete(np.arange(18), i)
            weight = np.linalg.solve(gram[np.ix_(rest, rest)] + ridge * np.eye(17), y[rest])
            residual[i] = y[i] - gram[i, rest] @ weight
        each.append(np.sqrt((residual**2).mean(1)))
    best = min(each, key=lambda e: float((e**2).sum()))
    np.testing.assert_allclose(held_out_errors(x, curves, kernel), best, rtol=1e-6)


def proposals(options, steps: int, measure=TOY.measure, ask: int = 1):
    policy = make_policy("curiosity", options)
    policy.reset(PROBLEM, rng=np.random.default_rng(0))
    made = []
    for _ in range(steps):
        answer = policy.ask(ask)
        made += answer
        policy.tell([measure(p) for p in answer])
    return made, policy


def test_without_decay_only_the_distance_to_visited_patches_counts():
    made, policy = proposals({"decay": 0.0}, 16)
    last, before = made[-1], made[:-1]
    table = policy.run.table()
    columns = PROBLEM.scan.shape[1]
    z = table[[p.site.row * columns + p.site.column for p in before]].astype(float)
    seen = {tuple(p.site) for p in before}
    available = [s for s in PROBLEM.candidates.tolist() if tuple(s) not in seen]
    rows = np.array(available) @ [columns, 1]
    harmonic = [1 / (1 / np.linalg.norm(z - v, axis=1)).sum() for v in table[rows].astype(float)]
    assert tuple(last.site) == tuple(available[int(np.argmax(harmonic))])
    assert last.scores["curiosity"] == pytest.approx(max(harmonic) / np.mean(harmonic), rel=1e-4)


def test_with_a_fast_decay_only_the_expected_error_counts():
    policy = proposals({"decay": 1e6}, 16)[1]
    policy.ask(1)
    shown = policy.explain()
    error, gain = shown["expected_error"], shown["acquisition"]
    inside = np.isfinite(gain) & np.isfinite(error)
    ratio = (gain / error)[inside]
    # The model was not told anything since: the gain is the error over its mean.
    assert ratio.std() < 1e-6 * ratio.mean()


def test_it_goes_where_the_image_does_not_predict_the_curves():
    """The left half obeys the image; in the right half each spot has a current of its own."""

    def measure(p):
        outcome = TOY.measure(p)
        if p.site.column < 18:
            return outcome
        own = np.random.default_rng([3, *p.site]).uniform(0.0, 4.0)
        curve = outcome.curve
        scrambled = IVCurve(voltage=curve.voltage, current=own * curve.current, time=curve.time)
        return Outcome(site=p.site, status="ok", curve=scrambled, proposal_id=p.id)

    made, _ = proposals({"decay": 20.0}, 60, measure)
    late = np.array([p.site.column >= 18 for p in made[20:]])
    share = (PROBLEM.candidates[:, 1] >= 18).mean()
    assert late.mean() > share + 0.1
