"""Our policies under Bluesky's RunEngine, and suggest/ingest optimizers as our policies."""

import numpy as np
import pytest
from samples import curve_of, fresh, problem_on

from grainscout.hardware.bluesky.optimizers import OptimizerPolicy, PolicyOptimizer, curve_point
from grainscout.policies import check_policy, make_policy
from grainscout.records import (
    DataError,
    IVCurve,
    Outcome,
    PolicyError,
    Problem,
    Proposal,
    Site,
    Waveform,
)

SHAPE = (6, 7)
SWEEP = Waveform.triangle(1.0, 41)
#: One maximum, at row 4, column 1.
ROWS, COLUMNS = np.indices(SHAPE)
PEAK = 1e-9 * np.exp(-((ROWS - 4) ** 2 + (COLUMNS - 1) ** 2) / 8.0)


def problem() -> Problem:
    return problem_on(PEAK, waveform=SWEEP, curves=10, target="max_current")


def measure(site: Site) -> IVCurve:
    current = PEAK[site] * SWEEP.voltage
    return curve_of(SWEEP, current)


def outcome(proposal: Proposal) -> Outcome:
    curve = measure(proposal.site)
    return Outcome(site=proposal.site, status="ok", curve=curve, proposal_id=proposal.id)


def measured(suggestion: dict) -> dict:
    site = Site(suggestion["row"], suggestion["column"])
    return curve_point(suggestion["_id"], site, measure(site))


@pytest.fixture
def climbing() -> OptimizerPolicy:
    policy = fresh(OptimizerPolicy(Climber), problem())
    return policy


class Climber:
    """A small optimizer of its own: random at first, then around the best, in real numbers."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.rows, self.columns = problem.scan.shape
        self.target, self.rng, self.points, self.failures = problem.target, rng, [], []

    def suggest(self, num_points=None):
        out = []
        for k in range(num_points or 1):
            where = self.rng.uniform((0, 0), (self.rows, self.columns))
            if len(self.points) > 5:
                best = max(self.points, key=lambda p: p[self.target])
                where = np.array([best["row"], best["column"]]) + self.rng.normal(0, 1.0, 2)
            out.append({"_id": (len(self.points), k), "row": where[0], "column": where[1]})
        return out

    def ingest(self, points):
        self.points += points

    def register_failures(self, suggestions):
        self.failures += suggestions


def test_an_optimizer_is_a_conforming_policy():
    results = check_policy(lambda: OptimizerPolicy(Climber))
    assert [r for r in results if not r.passed] == []


def test_an_optimizer_finds_the_maximum_through_our_loop(climbing):
    for _ in range(24):
        (proposal,) = climbing.ask()
        climbing.tell([outcome(proposal)])
    best = max(climbing._optimizer.points, key=lambda p: p["max_current"])
    assert (best["row"], best["column"]) == (4, 1)
    # What it was told is where the tip was and what was measured there.
    assert all(
        p["max_current"] == pytest.approx(PEAK[p["row"], p["column"]])
        for p in climbing._optimizer.points
    )


def test_failures_reach_the_optimizer_as_failures(climbing):
    (proposal,) = climbing.ask()
    climbing.tell([Outcome(site=proposal.site, status="failed", proposal_id=proposal.id)])
    assert [f["_id"] for f in climbing._optimizer.failures] == [(0, 0)]
    assert climbing._optimizer.points == []


@pytest.mark.parametrize("point", [{}, {"row": "x", "column": 1}, {"row": np.nan, "column": 1.0}])
def test_an_optimizer_that_suggests_nonsense_is_a_policy_error(point):
    class Liar(Climber):
        def suggest(self, num_points=None):
            return [point]

    policy = OptimizerPolicy(Liar)
    with pytest.raises(PolicyError, match="reset"):
        policy.ask()
    policy.reset(problem(), rng=np.random.default_rng(0))
    with pytest.raises(PolicyError, match="must suggest"):
        policy.ask()


def ours(name: str = "random") -> PolicyOptimizer:
    return PolicyOptimizer(make_policy(name, {}), problem(), rng=np.random.default_rng(2))


def test_ours_suggests_what_the_policy_asks_and_learns_what_is_ingested():
    optimizer = ours()
    plain = fresh(make_policy("random", {}), problem(), 2)
    for _ in range(3):
        suggestions = optimizer.suggest(2)
        proposals = plain.ask(2)
        assert [(s["row"], s["column"]) for s in suggestions] == [tuple(p.site) for p in proposals]
        optimizer.ingest([measured(s) for s in suggestions])
        plain.tell([outcome(p) for p in proposals])
    hand = Site(4, 1)
    optimizer.ingest([curve_point(None, hand, measure(hand))])
    ((name, where, value),) = optimizer.get_best_points()
    assert name is None
    assert where == {"row": 4, "column": 1}
    assert value["max_current"] == pytest.approx(1e-9)


def test_the_policy_receives_curves_sites_ids_and_visits():
    class Listener:
        def reset(self, problem, *, rng):
            self.told = []

        def ask(self, n=1):
            return [Proposal(id=f"p{len(self.told)}", site=Site(2, 3))]

        def tell(self, outcomes):
            self.told += outcomes

    policy = Listener()
    optimizer = PolicyOptimizer(policy, problem(), rng=np.random.default_rng(0))
    for _ in range(2):
        (suggestion,) = optimizer.suggest()
        curve = measure(Site(2, 3))
        optimizer.ingest([{**curve_point(None, Site(0, 0), curve), "_id": suggestion["_id"]}])
    (suggestion,) = optimizer.suggest()
    optimizer.register_failures([suggestion])
    assert [o.proposal_id for o in policy.told] == ["p0", "p1", "p2"]
    assert [o.site for o in policy.told] == [Site(2, 3)] * 3
    assert [o.visit for o in policy.told] == [0, 1, 0]
    assert [o.status for o in policy.told] == ["ok", "ok", "failed"]
    np.testing.assert_array_equal(policy.told[0].curve.current, curve.current)


def test_a_curve_without_the_target_is_a_failure_not_a_number(climbing):
    (proposal,) = climbing.ask()
    lost = curve_of(SWEEP, np.full(len(SWEEP), np.nan))
    climbing.tell([Outcome(site=proposal.site, status="ok", curve=lost, proposal_id=proposal.id)])
    assert climbing._optimizer.points == []
    assert len(climbing._optimizer.failures) == 1


def test_ours_refuses_points_that_it_cannot_place():
    optimizer = ours()
    (suggestion,) = optimizer.suggest()
    with pytest.raises(DataError, match="row and column"):
        optimizer.ingest([{"_id": "never suggested", "voltage": [0, 1]}])
    with pytest.raises(DataError, match="curve_point"):
        optimizer.ingest([suggestion])
    with pytest.raises(DataError, match="made here"):
        optimizer.register_failures([{"_id": "x"}])
    optimizer.register_failures([suggestion])
    assert optimizer.get_best_points() == []


def test_ours_stops_when_nothing_is_left():
    optimizer = ours()
    for suggestion in optimizer.suggest(100):
        optimizer.ingest([measured(suggestion)])
    assert optimizer.should_stop()[0]
    with pytest.raises(PolicyError, match="nothing left"):
        optimizer.suggest()


def test_ours_is_an_optimizer_of_bluesky_adaptive():
    protocols = pytest.importorskip("bluesky_adaptive.protocols")
    for name in ("Optimizer", "TrialFaultAware", "SupportsStoppingCriteria"):
        assert isinstance(ours(), getattr(protocols, name))
