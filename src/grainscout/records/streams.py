"""Random streams of film, instrument and policy. None is shared or global."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainscout.records.scan import Site


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Independent seeds of film, instrument and policy, from one."""

    film: np.random.SeedSequence
    instrument: np.random.SeedSequence
    policy: np.random.SeedSequence

    def policy_rng(self) -> np.random.Generator:
        """A fresh generator for ``Policy.reset``.

        It does not hold the experiment's seed, from which the film could be made again. Its own
        seed sequence (used by ``spawn``) is a digest.
        """
        bits = np.random.PCG64(np.random.SeedSequence(self.policy.generate_state(4).tolist()))
        bits.state = np.random.PCG64(self.policy).state
        return np.random.Generator(bits)


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
