"""Random streams: independent, repeatable, and the policy's tells nothing of the others."""

import numpy as np

from grainscout.records import spawn_streams


def test_a_policy_cannot_make_the_film_again_from_its_generator():
    streams = spawn_streams(7)
    known = streams.policy_rng().bit_generator.seed_seq
    assert known.entropy != streams.film.entropy
    guesses = [known.entropy] if isinstance(known.entropy, int) else [*known.entropy]
    films = [np.random.SeedSequence(g).spawn(1)[0].generate_state(4) for g in guesses]
    assert not any((f == streams.film.generate_state(4)).all() for f in films)


def test_no_child_of_a_seed_is_the_policys_stream():
    state = spawn_streams(7).policy_rng().bit_generator.state["state"]["state"]
    known = spawn_streams(7).policy_rng(1).bit_generator.state["state"]["state"]
    children = {
        np.random.PCG64(child).state["state"]["state"]
        for seed in range(20)
        for child in np.random.SeedSequence(seed).spawn(3)
    }
    assert known in children  # the attack finds the first version
    assert state not in children


def test_the_policys_stream_repeats_and_so_do_its_children():
    one, other = (spawn_streams(7).policy_rng() for _ in range(2))
    np.testing.assert_array_equal(one.random(5), other.random(5))
    np.testing.assert_array_equal(one.spawn(1)[0].random(5), other.spawn(1)[0].random(5))
    assert spawn_streams(8).policy_rng().random() != spawn_streams(7).policy_rng().random()
