"""The remote link between real sockets on this machine, encrypted."""

import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import remote_rig as rig

from grainscout.hardware.remote import PolicyServer, RemotePolicy, generate_keys
from grainscout.hardware.remote import messages as wire
from grainscout.policies.protocol import Policy, SupportsPredict, SupportsState
from grainscout.records import ConfigError, LinkError, PolicyError, Site
from grainscout.records.supports import supports

pytest.importorskip("zmq")


def test_a_remote_policy_is_the_policy(keys):
    with rig.serve(keys) as server, rig.connected(server, keys) as policy:
        assert isinstance(policy, Policy)
        assert not supports(policy, SupportsPredict)
        assert rig.run(policy, 4) == rig.expected(4)


def test_the_server_sees_the_problem_and_outcomes_as_they_are(keys):
    made, factory = rig.recorded()
    with rig.serve(keys, factory) as server, rig.connected(server, keys) as policy:
        (proposal, _) = policy.ask(2)
        policy.tell([rig.an_outcome(proposal)])
    there, here = made[-1].problem, rig.a_problem()
    np.testing.assert_array_equal(there.scan.height, here.scan.height)
    assert there.scan.units == here.scan.units
    assert there.scan.position(Site(3, 4)) == here.scan.position(Site(3, 4))
    np.testing.assert_array_equal(there.candidates, here.candidates)
    assert there.waveform == here.waveform
    for name in ("budget", "cost", "light", "target"):
        assert getattr(there, name) == getattr(here, name)
    (outcome,) = made[-1].told
    np.testing.assert_array_equal(outcome.curve.current, rig.an_outcome(proposal).curve.current)
    assert (outcome.proposal_id, outcome.site) == (proposal.id, proposal.site)
    assert outcome.finished == 1.0


def test_capabilities_are_those_of_the_servers_policy(keys):
    with rig.serve(keys, rig.Model) as server, rig.connected(server, keys) as policy:
        assert supports(policy, SupportsPredict)
        assert supports(policy, SupportsState)
        mean, deviation = policy.predict()
        np.testing.assert_array_equal(mean, np.arange(4.0))
        np.testing.assert_array_equal(deviation, np.ones(4))
        policy.ask()
        state = policy.state()
        assert state["asked"] == 1
        policy.restore({**state, "asked": 7})
        assert policy.ask()[0].id == "8-0"


def test_a_policy_is_asked_for_no_more_sites_than_there_are_candidates(keys):
    with rig.serve(keys) as server, rig.connected(server, keys) as policy:
        assert len(policy.ask(10_000)) == len(rig.a_problem().candidates)


def test_errors_of_the_policy_reach_the_client_as_its_own(keys):
    with rig.serve(keys, rig.Failing) as server, rig.connected(server, keys) as policy:
        with pytest.raises(PolicyError, match="RuntimeError: no idea"):
            policy.ask()
        with pytest.raises(PolicyError, match="cannot learn that"):
            policy.tell([rig.an_outcome(None)])


def test_a_client_that_is_not_allowed_gets_nothing(keys, tmp_path):
    strangers = generate_keys(tmp_path / "strangers")
    # A stranger with the right server key but a key of its own.
    wrong = strangers / "microscope"
    (wrong / "server.key").write_bytes((keys / "microscope" / "server.key").read_bytes())
    with rig.serve(keys) as server:
        with pytest.raises(LinkError, match="key allowed"):
            RemotePolicy(server.address, keys=wrong, **rig.QUICK)
        with pytest.raises(LinkError, match="must answer"):
            RemotePolicy(server.address, **rig.QUICK)  # no encryption at all
        with RemotePolicy(server.address, keys=keys / "other", **rig.QUICK) as friend:
            assert friend.server["policy"] == "Walker"
        assert server.refused == 0  # nothing of a stranger's was even looked at
        assert server.strangers >= 1


def test_another_allowed_client_cannot_take_a_session(keys):
    with rig.serve(keys) as server, rig.connected(server, keys) as policy:
        with RemotePolicy(server.address, keys=keys / "other", **rig.QUICK) as thief:
            thief.reset(rig.a_problem(), rng=np.random.Generator(np.random.PCG64(1)))
            thief._channel.session = policy._channel.session
            with pytest.raises(LinkError, match="belongs to another"):
                thief.ask()
        assert rig.run(policy, 2) == rig.expected(2)


def test_nothing_listens_elsewhere_without_keys():
    for host in ("0.0.0.0:0", "*:0", "192.168.1.5:5571", "127.evil.com:1"):
        address = f"tcp://{host}"
        with pytest.raises(ConfigError, match="without keys"):
            PolicyServer(rig.Walker, address=address)
        with pytest.raises(ConfigError, match="without keys"):
            RemotePolicy(address)
    with rig.serve() as server, RemotePolicy(server.address, **rig.QUICK):
        pass


def test_an_occupied_address_is_refused(keys):
    with rig.serve(keys) as server, pytest.raises(LinkError, match="free"):
        rig.serve(keys, address=server.address)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_secret_keys_are_the_owners_alone(tmp_path):
    keys = generate_keys(tmp_path / "keys")
    secrets = sorted(keys.rglob("*.key_secret"))
    assert [s.relative_to(keys).as_posix() for s in secrets] == [
        "microscope/client.key_secret",
        "server/server.key_secret",
    ]
    assert all(stat.S_IMODE(s.stat().st_mode) == 0o600 for s in secrets)
    # No secret lies where it does not belong, under any name.
    for path in keys.rglob("*"):
        if path.is_file() and path not in secrets:
            assert b"secret-key" not in path.read_bytes()
    with pytest.raises(ConfigError, match="new or empty"):
        generate_keys(keys)
    secrets[1].chmod(0o644)
    with pytest.raises(ConfigError, match="owner alone"):
        PolicyServer(rig.Walker, address="tcp://127.0.0.1:0", keys=keys / "server")


def test_missing_and_damaged_keys_are_named(keys, tmp_path):
    with pytest.raises(ConfigError, match=r"server\.key_secret"):
        PolicyServer(rig.Walker, address="tcp://127.0.0.1:0", keys=tmp_path)
    with pytest.raises(ConfigError, match="plain names"):
        generate_keys(tmp_path / "new", clients=("../evil",))


def test_another_version_is_found_at_connect(keys):
    # The server is of this version and the client of another: rig.run it in a process of its own.
    script = (
        "import sys\n"
        "from grainscout.hardware.remote import messages as wire\n"
        "from grainscout.hardware.remote import RemotePolicy\n"
        "wire.VERSION = 99\n"
        "RemotePolicy(sys.argv[1], keys=sys.argv[2], lost_after=5.0)\n"
    )
    with rig.serve(keys) as server:
        command = [sys.executable, "-c", script, server.address, str(keys / "microscope")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"protocol version 99; got {wire.VERSION}" in done.stderr
