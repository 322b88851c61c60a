"""Random streams of film, instrument and policy. None is shared or global."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from grainscout.records.scan import Site

#: Version of the policy's stream. Version 1 was a child of the seed, from which a policy could find the
#: seed, and so the film, by trying seeds.
STREAM_VERSION = 2
#: Version of the policies' defaults. It is in no journal of before version 2 (records 0204 and 0206).
POLICY_DEFAULTS = 3
_SALT = b"grainscout policy stream"


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Independent seeds of film, instrument and policy, from one."""

    film: np.random.SeedSequence
    instrument: np.random.SeedSequence
    policy: np.random.SeedSequence

    def policy_rng(self, version: int = STREAM_VERSION) -> np.random.Generator:
        """A fresh generator for ``Policy.reset``.

        It does not hold the experiment's seed, from which the film could be made again. Its seed is a
        salted digest that takes a while to compute (scrypt, RFC 7914), so that seeds are not found by
        trying them. A small seed can still be guessed by who knows that it is small.
        """
        if version == 1:
            bits = np.random.PCG64(np.random.SeedSequence(self.policy.generate_state(4).tolist()))
            bits.state = np.random.PCG64(self.policy).state
            return np.random.Generator(bits)
        return np.random.default_rng(_digest(f"{self.policy.entropy} {self.policy.spawn_key}"))


@lru_cache(maxsize=256)
def _digest(seed: str) -> int:
    return int.from_bytes(hashlib.scrypt(seed.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=16))


def spawn_streams(seed: int) -> Streams:
    """Streams of an experiment. The same seed always gives the same three."""
    film, instrument, policy = np.random.SeedSequence(seed).spawn(3)
    return Streams(film=film, instrument=instrument, policy=policy)


def measurement_stream(
    instrument: np.random.SeedSequence, site: Site, visit: int, purpose: int = 0
) -> np.random.Generator:
    """Generator for the noise of one measurement, whatever was measured before.

    Parameters
    ----------
    instrument : SeedSequence
        Seed of the instrument.
    site : Site
        Row and column.
    visit : int
        Number of the visit. Two policies that measure the same site on the same visit meet the
        same noise.
    purpose : int
        Separates independent uses within one measurement.
    """
    key = (*instrument.spawn_key, 1, int(site[0]), int(site[1]), int(visit), int(purpose))
    seed = np.random.SeedSequence(entropy=instrument.entropy, spawn_key=key)
    return np.random.Generator(np.random.PCG64(seed))
