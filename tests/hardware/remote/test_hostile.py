"""What an enemy, or a bug, may send."""

import json

import numpy as np
import pytest
import remote_rig as rig
from hypothesis import given, settings
from hypothesis import strategies as st

from grainscout.hardware.remote import RemotePolicy
from grainscout.hardware.remote import messages as wire
from grainscout.policies import make_policy
from grainscout.records import LinkError

pytest.importorskip("zmq")
from rigs_frames import Enemy, hostile_server


def header(**change: object) -> bytes:
    fields = {"v": wire.VERSION, "kind": "ask", "session": "s", "n": 1}
    return json.dumps({**fields, **change}).encode()


def body(tree: object) -> list[bytes]:
    return [header(), json.dumps(tree).encode()]


def claim(dtype: object, shape: object, *frames: bytes) -> list[bytes]:
    return [*body({"x": {"__array__": [dtype, shape]}}), *frames]


FLOATS = np.arange(3.0).tobytes()
HOSTILE = {
    "nothing": [],
    "no JSON": [b"\x80\x04cposix\nsystem\n"],  # what a pickle would begin with
    "no object": [b"[1, 2]", b"{}"],
    "no body": [header()],
    "empty body": body(None),
    "array as body": [*body({"__array__": ["float64", [3]]}), FLOATS],
    "no kind": [header(kind=7), b"{}"],
    "long session": [header(session="s" * 1000), b"{}"],
    "negative number": [header(n=-1), b"{}"],
    "number as text": [header(n="1"), b"{}"],
    "boolean number": [header(n=True), b"{}"],
    "huge number": [header(n=2**60), b"{}"],
    "deep": [b"[" * 3_000, b"{}"],
    "deep body unread": [header(), b"[" * 100_000],
    "large header": [header(x=[[]] * 2_000), b"{}"],
    "frame that nobody claims": [header(), b"{}", FLOATS],
    "frame claimed twice": [
        *body({"a": {"__array__": ["float64", [3]]}, "b": {"__array__": ["float64", [3]]}}),
        FLOATS,
    ],
    "frame that is not there": claim("float64", [3]),
    "frame of its place": [*body({"x": {"__array__": [0, "float64", [3]]}}), FLOATS],
    "no float": body({"x": {"__float__": "1"}}),
    "object dtype": claim("object", [3], FLOATS),
    "structured dtype": claim("f8,O", [3], FLOATS),
    "too large": claim("float64", [4], FLOATS),
    "too small": claim("float64", [2], FLOATS),
    "absurd": claim("float64", [2**62, 4], FLOATS),
    "overflowing to fit": claim("float64", [2**63, 2], b""),
    "negative shape": claim("float64", [-3, -1], FLOATS),
    "fractional shape": claim("float64", [1.5, 2], FLOATS),
    "many dimensions": claim("float64", [1] * 40 + [3], FLOATS),
    "not a claim": [*body({"x": {"__array__": "y"}}), FLOATS],
    "bool of 7": claim("bool", [1], b"\x07"),
    "other version": [header(v=99), b"{}"],
    "one frame fifty times": [
        *body({"x": [{"__array__": ["uint8", [1000]]}] * 50}),
        bytes(1000),
        *[b""] * 49,
    ],
    "no bytes, one huge side": claim("uint8", [0, 10**30], b""),
    "no bytes, huge": claim("uint8", [0, *[6 * 10**7] * 4], b""),
    "deep body": body({"x": json.loads("[" * 300 + "]" * 300)}),
    "surrogate": [header(session="\ud800"), b"{}"],
}


@pytest.mark.parametrize("frames", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_frames_are_refused(frames):
    with pytest.raises(LinkError):
        wire.decode(frames)


def test_a_header_over_the_limit_is_refused_unread():
    with pytest.raises(LinkError, match="at most"):
        wire.decode([b"x" * (wire.MAX_HEADER + 1)])
    with pytest.raises(LinkError, match="frames"):
        wire.decode([header(), b"{}", *[b""] * wire.MAX_FRAMES])
    with pytest.raises(LinkError, match="a body of at most"):
        wire.decode([header(), b"x" * (wire.MAX_BODY + 1)])


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5).filter(lambda k: not k.startswith("__")), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(body=st.dictionaries(st.sampled_from("abc"), trees, max_size=3))
def test_what_is_sent_arrives(body):
    whole = {**body, "z": np.zeros((0, 2), np.int32)}
    sent = wire.Message(kind="k", session="s", number=5, body=whole)
    back = wire.decode([bytes(f) for f in wire.encode(sent)])
    array = back.body.pop("z")
    assert (array.shape, array.dtype) == ((0, 2), np.int32)
    assert json.dumps(back.body) == json.dumps(body)  # NaN equals NaN as text


def test_what_cannot_be_sent_is_named():
    for value in (object(), np.array(["a"]), np.array([object()]), {1, 2}, b"raw"):
        with pytest.raises(LinkError, match=r"body\.x"):
            wire.encode(wire.Message(kind="k", body={"x": value}))


def test_a_frame_over_the_limit_costs_the_sender_its_connection_only(monkeypatch):
    monkeypatch.setattr(wire, "MAX_FRAME", 100_000)
    with rig.serve() as server, Enemy(server.address) as enemy:
        enemy.send([header(), b"{}", b"x" * 200_000])
        with RemotePolicy(server.address, lost_after=5.0):
            pass
        assert server.refused == 0  # never reached us


def test_a_server_that_answers_nonsense_is_a_link_error():
    with (
        hostile_server(lambda *_: [[b"nonsense"]]) as address,
        pytest.raises(LinkError, match="header must be JSON"),
    ):
        RemotePolicy(address, lost_after=5.0)


def test_a_request_without_its_parts_is_refused_and_no_failure_of_the_policy(caplog):
    with (
        rig.serve(factory=lambda: make_policy("random")) as server,
        RemotePolicy(server.address) as client,
    ):
        client.reset(rig.a_problem(), rng=np.random.default_rng(0))
        whole = client._reset_body()
        for kind, body in (
            ("tell", {}),
            ("restore", {}),
            ("reset", {"problem": whole["problem"]}),
            ("reset", {"rng": whole["rng"]}),
        ):
            with pytest.raises(LinkError, match="from the other side cannot be understood"):
                client._channel.request(kind, body)
    assert not [r for r in caplog.records if "the policy failed" in r.message]
