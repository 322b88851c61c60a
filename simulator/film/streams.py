"""Random streams of a film."""

import numpy as np

from grainscout.records import ConfigError
from grainscout.simulator.film import artefacts
from grainscout.simulator.film.generate import SURFACE_STREAMS

#: Independent random streams of a film. The order is part of a seed's meaning: append only.
STREAMS = (*SURFACE_STREAMS, "transport", *artefacts.STREAMS)


def as_seed(seed: int | np.random.SeedSequence) -> np.random.SeedSequence:
    """Seed sequence of a number >= 0 or sequence."""
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError(f"film seed must be a whole number >= 0 or a SeedSequence; got {seed!r}")
    return np.random.SeedSequence(int(seed))


def stream(seed: np.random.SeedSequence, name: str) -> np.random.Generator:
    """Fresh generator of a film's named stream."""
    key = (*seed.spawn_key, STREAMS.index(name))
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence(entropy=seed.entropy, spawn_key=key))
    )
