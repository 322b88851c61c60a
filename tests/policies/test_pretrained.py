"""The pretrained surrogate: its kernel, its mixture with a generic one, its inputs and designs."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime

from grainscout.analysis.curves.descriptors import DESCRIPTORS
from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.microstructure.reader import read_structure
from grainscout.policies import make_policy
from grainscout.policies.design import greedy, integrated_fall, largest_cluster, tour
from grainscout.policies.models.kernels import Stationary
from grainscout.policies.models.pretrained.inputs import make_inputs
from grainscout.policies.models.pretrained.kernel import COLUMNS, PARAMETERS, HierarchicalKernel
from grainscout.policies.models.pretrained.kinds import KNOWN, kind_of
from grainscout.policies.models.pretrained.mixture import Member, Mixture
from grainscout.policies.models.pretrained.network import check_network, shipped_network
from grainscout.records import Budget, DataError, PolicyError, Scan, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

PRIOR = np.tile([-1.0, 0.7], (PARAMETERS, 1))


def table(n: int = 30, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, COLUMNS))
    x[:, -9:-5] = np.abs(x[:, -9:-5])
    x[:, -5:-2] = rng.integers(0, 5, (n, 3))
    return x


def test_the_hierarchical_kernel_is_one_covariance_in_all_its_forms() -> None:
    kernel, t = HierarchicalKernel(PRIOR), np.random.default_rng(1).normal(-1.0, 0.5, PARAMETERS)
    x = table()
    k, pull = kernel.gram(kernel.prepare(x), t)
    assert_allclose(k, kernel.cross(x, x, t), atol=1e-12)
    assert_allclose(np.diagonal(k), kernel.diagonal(x, t), atol=1e-12)
    assert np.linalg.eigvalsh(k).min() > -1e-9
    weight = np.random.default_rng(2).normal(size=k.shape)
    weight += weight.T
    numeric = approx_fprime(
        t, lambda t: np.vdot(weight, kernel.gram(kernel.prepare(x), t)[0]), 1e-6
    )
    assert_allclose(pull(weight), numeric, rtol=1e-3, atol=1e-3)


def members(rng: np.random.Generator, n: int = 80) -> tuple[np.ndarray, np.ndarray, list[Member]]:
    """Sites, targets that depend on the first table alone, and a process over each of two tables."""
    right, wrong = (rng.normal(size=(600, 3)).astype(np.float32) for _ in range(2))
    y = np.sin(2 * right[:, 0]) + right[:, 1].astype(float) + 0.05 * rng.normal(size=600)
    made = [Member(t, np.arange(600), Stationary(name="rbf")) for t in (right, wrong)]
    return rng.permutation(600)[:n], y, made


@pytest.mark.parametrize("first", ["right", "wrong"])
def test_the_mixture_goes_by_what_each_predicts_of_unseen_curves(first: str) -> None:
    rows, y, made = members(np.random.default_rng(3))
    mixture = Mixture(made if first == "right" else made[::-1])
    mixture.fit(rows, y[rows])
    assert (mixture.weight > 0.9) if first == "right" else (mixture.weight < 0.2)
    mean, std = mixture.predict()
    rest = np.setdiff1d(np.arange(600), rows)
    assert np.std((mean - y)[rest]) < 0.5 * np.std(y)
    assert 0.85 < np.mean(np.abs(mean - y)[rest] < 1.96 * np.hypot(std, 0.05)[rest]) <= 1.0


def test_left_out_errors_are_those_of_leaving_out() -> None:
    rows, y, (member, _) = members(np.random.default_rng(4), 25)
    member.fit(rows, y[rows])
    error, variance = member.left_out()
    k = member.kernel.gram(member.kernel.prepare(member.table[rows].astype(float)), member._t[:-2])[
        0
    ]
    k = k + np.diag(np.full(25, np.exp(member._t[-2]) + 1e-6) + member._extra)
    z = (y[rows] - member._offset) / member._scale
    others = np.arange(25) != 7
    solved = np.linalg.solve(k[np.ix_(others, others)], k[others, 7])
    assert_allclose(error[7], member._scale * (z[7] - solved @ z[others]), rtol=1e-6)
    assert_allclose(variance[7], member._scale**2 * (k[7, 7] - solved @ k[others, 7]), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.3, 0.0])
def test_a_gain_that_grows_with_wear_is_found_and_taken_out(rate: float) -> None:
    rows, y, made = members(np.random.default_rng(5), 200)
    worn = np.arange(200) / 100.0
    told = (y[rows] + 6.0) * (1.0 + rate * worn)
    mixture = Mixture(made[:1], lambda: worn)
    mixture.fit(rows, told)
    found = mixture.drift.rate if mixture.drift.gain else 0.0
    assert abs(found - rate) < 0.08
    rest = np.setdiff1d(np.arange(600), rows)
    assert abs(np.mean((mixture.predict()[0] - y - 6.0)[rest])) < 0.25


def test_a_run_goes_on_with_the_weights_that_it_began_with_or_not_at_all() -> None:
    rows, y, made = members(np.random.default_rng(9), 20)
    mixture = Mixture(made, weights_digest="ours")
    mixture.fit(rows, y[rows])
    state = mixture.state()
    Mixture(members(np.random.default_rng(9))[2], weights_digest="ours").restore(
        state, rows, y[rows], None
    )
    del state["weights"]
    with pytest.raises(PolicyError, match="weights that it began with"):
        mixture.restore(state, rows, y[rows], None)


def test_the_network_is_told_what_is_known_of_a_target_and_nothing_of_others() -> None:
    usual = kind_of("loop_area", Waveform.triangle(), 0.1)
    assert usual[-4:].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert sorted(KNOWN) == sorted(DESCRIPTORS)
    assert kind_of("loop_area", Waveform.bipolar(0.75, duration=np.e), 0.0)[-4:].tolist() == (
        pytest.approx([0.0, 0.5, 1.0, 1.0])
    )
    assert kind_of("loop_area", Waveform.triangle(-1.5), 0.0)[-3] == -1.0
    assert not kind_of("mine:brightness", Waveform.triangle(), 0.1).any()
    network = shipped_network(current=False)
    x = np.random.default_rng(0).normal(size=(40, network.arrays["mean"].size)).astype(np.float32)
    none = kind_of("mine:brightness", Waveform.triangle(), 0.1)
    assert np.abs(network.columns(x, usual) - network.columns(x, none)).max() > 0.01
    assert np.isfinite(network.prior(usual)).all()


def test_covariances_between_candidates_are_those_of_the_protocol() -> None:
    rows, y, made = members(np.random.default_rng(6))
    mixture = Mixture(made)
    mixture.fit(rows, y[rows])
    a, b = np.arange(40), np.arange(100, 120)
    assert_allclose(mixture.between(a, b), mixture.covariance(b)[a], atol=2e-3)


def test_a_greedy_design_lowers_the_variance_more_than_chance_and_repeats_nothing() -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(300, 2))
    k = np.exp(-0.5 * ((x[:, None] - x) ** 2).sum(-1))

    def left(chosen: np.ndarray) -> float:
        inner = k[np.ix_(chosen, chosen)] + 0.1 * np.eye(len(chosen))
        return float(
            np.mean(1 - np.einsum("ij,ij->j", k[chosen], np.linalg.solve(inner, k[chosen])))
        )

    free = np.arange(300) % 2 == 0
    chosen = greedy(k, np.ones(300), lambda j: k[:, j], 0.1, 12, free)
    assert len(set(chosen.tolist())) == 12
    assert free[chosen].all()
    assert left(chosen) < 0.8 * min(left(rng.permutation(300)[:12]) for _ in range(30))
    best = int(integrated_fall(k, np.ones(300), 0.1).argmax())
    assert best == greedy(k, np.ones(300), lambda j: k[:, j], 0.1, 1, np.ones(300, bool))[0]


def test_the_largest_cluster_is_split_at_its_farthest_point() -> None:
    points = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 9.0])  # centres at 0 and 5: one far point at 9
    score = largest_cluster((points[:, None] - np.array([0.0, 5.0])) ** 2)
    assert score.argmax() == 5
    assert (score[:3] == -np.inf).all()


def test_a_tour_visits_all_and_is_short() -> None:
    points = np.random.default_rng(8).random((60, 2))
    order = tour(points, np.zeros(2))
    assert sorted(order.tolist()) == list(range(60))
    way = np.hypot(*np.diff(points[order], axis=0).T).sum()
    assert way < 0.3 * np.hypot(*np.diff(points, axis=0).T).sum()
    assert tour(points[:1], np.zeros(2)).tolist() == [0]


def test_weights_of_another_network_are_refused_with_their_remedy() -> None:
    arrays = dict(shipped_network(current=False).arrays)
    for change in (
        {"version": np.float32(99)},
        {"w1": np.zeros((3, 3))},
        {"b1": np.full(64, np.nan)},
    ):
        with pytest.raises(DataError, match="train them anew"):
            check_network({**arrays, **change}, "here")


@pytest.mark.parametrize("image", ["height", "current", "response"])
@pytest.mark.parametrize("relief", ["flat", "one boundary"])
def test_inputs_have_their_columns_whatever_the_image_is(image: str, relief: str) -> None:
    network = shipped_network(current=False)
    picture = np.random.default_rng(0).normal(0.0, 1e-12, (30, 30))
    picture[:, 15:] += 3e-8 * (relief != "flat")
    scan = Scan(channels={image: picture}, pixel_size=(1e-10, 1e-10))
    reading = read_structure(scan)
    inputs = make_inputs(scan, reading.maps, reading.sd, current=False)
    rows = network.rows(inputs, kind_of("turn_on", Waveform.triangle(), 0.0))
    assert np.isfinite(rows).all()


@pytest.mark.parametrize(
    ("preset", "channels", "order"),
    [
        ("tiny", ("height",), "gain"),
        ("tiny", ("height", "current"), "spread"),
        ("strange", ("height",), "spread"),
    ],
)
def test_sites_spread_where_the_structure_says_little_or_the_current_all(
    preset: str, channels: tuple[str, ...], order: str
) -> None:
    spec = PRESETS["tiny"]
    noisy = replace(spec, scan=replace(spec.scan, noise_nm=60.0))
    film = Film.generate(noisy if preset == "strange" else spec, 3)

    def sites(wanted: str) -> list[tuple[int, int]]:
        scope = Guard(SimulatedMicroscope(film, "quiet", seed=spawn_streams(1).instrument))
        problem = make_problem(scope, Waveform.triangle(), Budget(curves=14), channels=channels)
        policy = make_policy("map", {"order": wanted})
        return [o.site for o in Experiment(scope, policy, problem=problem, seed=2).run().outcomes]

    assert sites("auto") == sites(order)
    assert len(set(sites("clusters"))) == 14
