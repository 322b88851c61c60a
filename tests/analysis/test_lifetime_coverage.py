"""Every number of a tri-exponential fit lies within its stated uncertainty as often as it says."""

from __future__ import annotations

import numpy as np

from grainscout.analysis.curves.characterisation import average_lifetime, fit_decay

TAU, SHARES = np.array([1.28, 6.81, 39.76]), np.array([0.59, 0.3054, 0.1046])


def test_intervals_cover_the_published_decay():
    """Of 90 % intervals of three lifetimes, three shares and the average, about 90 % hold the truth."""
    rng = np.random.default_rng(11)
    time = 1e-9 * np.arange(0.0, 400.0, 0.4)
    signal = np.exp(-time[:, None] / (1e-9 * TAU)) @ SHARES
    truth = np.array([*TAU, *SHARES, average_lifetime(SHARES, TAU)])
    inside = []
    for _ in range(12):
        found = fit_decay(time, rng.poisson(3e6 * signal / signal.sum() + 2.0))
        value = np.array([*(1e9 * found.lifetimes), *found.fractions, 1e9 * found.average])
        sigma = np.array(
            [*(1e9 * found.lifetimes_sigma), *found.fractions_sigma, 1e9 * found.average_sigma]
        )
        assert (sigma > 0).all()
        inside.append(np.abs(value - truth) < 1.645 * sigma)
    # 84 intervals, seven of one fit together: 0.9 within three standard errors of twelve fits.
    assert 0.72 < np.mean(inside) < 0.995
