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


def test_the_policys_stream_is_the_third_of_the_seed_and_repeats():
    third = np.random.SeedSequence(7).spawn(3)[2]
    expected = np.random.Generator(np.random.PCG64(third)).random(5)
    np.testing.assert_array_equal(spawn_streams(7).policy_rng().random(5), expected)
    one, other = (spawn_streams(7).policy_rng().spawn(1)[0].random(5) for _ in range(2))
    np.testing.assert_array_equal(one, other)
