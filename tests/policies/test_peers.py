"""Other packages behind our protocol; each runs where its package is installed."""

from importlib.util import find_spec

import numpy as np
import pytest

from grainscout.benchmarks import Campaign, PolicySpec, Task
from grainscout.policies import make_policy, policy_names
from grainscout.policies.conformance import ToySample, play
from grainscout.policies.registry import PEERS, peer_names
from grainscout.records import ConfigError

TOY = ToySample()


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_peer_is_known_exactly_where_its_package_is_installed(name):
    package = PEERS[name]
    assert (name in policy_names()) == (find_spec(package) is not None)
    if name not in peer_names():
        with pytest.raises(ConfigError, match=f"{package}.*not installed"):
            make_policy(name)


@pytest.mark.parametrize("name", sorted(PEERS))
def test_it_runs_repeats_itself_and_leaves_global_generators_alone(name):
    pytest.importorskip(PEERS[name], reason=f"{PEERS[name]} is not installed")
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    runs = []
    for _ in range(2):
        policy = make_policy(name, {"seed_points": 4})
        policy.reset(TOY.problem(40), rng=np.random.default_rng(0))
        runs.append(play(policy, TOY.measure, (4, 1, 2)))
    assert runs[0] == runs[1]
    assert len({site for step in runs[0] for _, site, *_ in step}) == 7
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_botorch_agrees_with_our_own_gaussian_process():
    pytest.importorskip("botorch", reason="botorch is not installed")
    from grainscout.policies.models.gp import GaussianProcess
    from grainscout.policies.models.surrogates import KERNELS
    from grainscout.policies.peers.botorch import BoTorchSurrogate

    x = np.linspace(0, 1, 200)[:, None]
    y = np.sin(6 * x[:, 0]) + np.random.default_rng(0).normal(0, 0.05, 200)
    rows, pool = np.arange(0, 200, 8), np.arange(200)
    theirs = BoTorchSurrogate(x, pool)
    ours = GaussianProcess((3 * x).astype(np.float32), pool, KERNELS["rbf"])
    for model in (theirs, ours):
        model.fit(rows, y[rows])
    np.testing.assert_allclose(theirs.predict()[0], ours.predict()[0], atol=0.1)
    mean, covariance = theirs.joint(pool[:9])
    np.testing.assert_allclose(mean, theirs.predict()[0][:9], atol=1e-6)
    np.testing.assert_allclose(np.diagonal(covariance), theirs.predict()[1][:9] ** 2, rtol=1e-3)
    np.testing.assert_allclose(theirs.covariance(pool[:9])[:9], covariance, atol=1e-6)


def test_peers_join_a_campaign_once():
    plan = Campaign(
        name="c", tasks=(Task(curves=5),), policies=(PolicySpec(name="random"),)
    ).with_policies(PolicySpec(name="random"), PolicySpec(name="peer-botorch"))
    assert [p.title for p in plan.policies] == ["random", "peer-botorch"]
