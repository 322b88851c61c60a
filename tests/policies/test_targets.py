"""Dead contacts are recognised by their noise alone and left out of the targets."""

import numpy as np
import pytest

from grainscout.policies.models.training_targets import DescriptorTargets, at_floor
from grainscout.policies.observations import Observations
from grainscout.records import Waveform

WAVE = Waveform.triangle()


def curves(level: np.ndarray, noise: float = 2e-12) -> np.ndarray:
    """(n, s) currents that rise with the cube of the voltage to `level` [A]."""
    ideal = level[:, None] * (WAVE.voltage / 1.5) ** 3
    return ideal + np.random.default_rng(0).normal(0.0, noise, ideal.shape)


def observed(current: np.ndarray) -> Observations:
    n = len(current)
    return Observations(
        sites=np.zeros((n, 2), np.int64),
        index=np.arange(n),
        visit=np.zeros(n, np.int64),
        current=current,
        saturated=np.zeros(current.shape, bool),
        started=np.arange(n, dtype=float),
    )


@pytest.mark.parametrize("noise", [2e-12, 50e-12])
def test_a_curve_is_dead_if_it_stays_in_its_noise(noise: float) -> None:
    level = np.array([0.0, 0.1, 1.0, 30.0, 300.0]) * noise
    assert at_floor(curves(level, noise)).tolist() == [True, True, True, False, False]


def test_a_tenth_of_dead_contacts_is_left_out_and_a_dead_film_is_not() -> None:
    few = observed(curves(np.where(np.arange(20) < 2, 0.0, 1e-9)))
    targets = DescriptorTargets("max_current", WAVE)
    use, value, _ = targets.of(few)
    assert use.tolist() == [False] * 2 + [True] * 18
    assert value.min() > 0.9e-9
    assert DescriptorTargets("max_current", WAVE, dead_contacts=True).of(few)[0].all()
    most = observed(curves(np.where(np.arange(20) < 15, 0.0, 1e-9)))
    assert targets.of(most)[0].all()
