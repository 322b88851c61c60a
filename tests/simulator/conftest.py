"""Fixtures of the transport tests."""

import numpy as np
import pytest

from grainscout.simulator.transport import PARAMETERS


def _drawn(n, seed=0):
    """Random contact points over the whole draw ranges, all terms on but the random ones."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, p in PARAMETERS.items():
        low, high = p.draw
        if p.blend == "geometric":
            values[name] = np.exp(rng.uniform(np.log(low), np.log(high), n))
        else:
            values[name] = rng.uniform(low, high, n)
    return values | {"telegraph": np.zeros(n), "ripple": np.zeros(n)}


@pytest.fixture(scope="session")
def drawn():
    """(n, seed) -> parameters of n random contact points."""
    return _drawn
