"""The law of ionic screening against a slab of mobile ions, by drift and diffusion, at three scan rates.

One ion species over a fixed counter-charge between blocking contacts, in units of the slab's thickness,
kT/q and thickness^2/D: p_t = (p_x + p f_x)_x, l^2 f_xx = 1 - p, with l the Debye length. What the ions screen of the
applied voltage is u = V - (field in the middle): the state that the transport law relaxes by du/dt = (V - u)/tau.
"""

from functools import lru_cache

import numpy as np
from scipy.integrate import solve_ivp, trapezoid
from scipy.linalg import solve_banded

from grainscout.records import Waveform
from grainscout.simulator.transport import archetype_parameters, iv_curves

DEBYE, PEAK, CELLS = 0.02, 1.5 / 0.0257, 90
EDGES = 0.5 * (1 + np.tanh(2.6 * np.linspace(-1, 1, CELLS + 1)) / np.tanh(2.6))
WIDTH, CENTRE = np.diff(EDGES), 0.5 * (EDGES[1:] + EDGES[:-1])
STEP = np.diff(np.concatenate([[0.0], CENTRE, [1.0]]))  # between centres, and to the contacts
INVERSE = 1.0 / STEP
BANDS = np.zeros((3, CELLS))
BANDS[0, 1:], BANDS[2, :-1] = INVERSE[1:-1], INVERSE[1:-1]
BANDS[1] = -(INVERSE[:-1] + INVERSE[1:])


def potential(p, volt):
    right = (1.0 - p) * WIDTH / DEBYE**2
    right[0] -= volt * INVERSE[0]
    return solve_banded((1, 1), BANDS, right)


def bernoulli(z):
    small = np.abs(z) < 1e-8
    return np.where(small, 1.0 - 0.5 * z, z / np.expm1(np.where(small, 1.0, z)))


@lru_cache
def screened(duration):
    """Times, V and u [kT/q] of one triangle of `duration`, from rest."""
    times = np.linspace(0.0, duration, 101)

    def volt(t):
        return PEAK * (1.0 - abs(2.0 * t / duration - 1.0))

    def rate(t, p):
        drop = np.diff(potential(p, volt(t)))
        # Scharfetter and Gummel: exact between neighbours at a constant field.
        flux = (bernoulli(drop) * p[:-1] - bernoulli(-drop) * p[1:]) * INVERSE[1:-1]
        return np.diff(np.concatenate([[0.0], -flux, [0.0]])) / WIDTH

    found = solve_ivp(rate, (0, duration), np.ones(CELLS), "BDF", times, rtol=1e-5, atol=1e-8)
    applied = np.array([volt(t) for t in times])
    middle = CELLS // 2
    u = [
        v + (f[middle + 2] - f[middle - 2]) / (CENTRE[middle + 2] - CENTRE[middle - 2])
        for v, f in ((v, potential(p, v)) for v, p in zip(applied, found.y.T, strict=True))
    ]
    return times, applied, np.array(u)


def of_law(duration, tau):
    """u [kT/q] of the transport law along the same triangle."""
    club = archetype_parameters("club") | {"tau": np.array([tau])}
    sweep = Waveform.triangle(peak=1.5, samples=101, duration=duration)
    return iv_curves(club, sweep, light=0.0, trajectories=True).u[0] / 1.5 * PEAK


def test_one_relaxation_time_follows_the_slab_at_three_scan_rates():
    durations = (0.002, 0.02, 0.2)  # a twentieth, half and five of the time that the slab takes
    taus = np.geomspace(0.001, 0.02, 25)
    error = np.array(
        [
            [np.sqrt(np.mean((of_law(t, tau) - screened(t)[2]) ** 2)) / PEAK for t in durations]
            for tau in taus
        ]
    )
    best = error[(error**2).sum(1).argmin()]
    # Of the peak voltage; the slab's diffuse layers make it no line, so more is not to be had.
    assert (best < 0.07).all()
    tau = taus[(error**2).sum(1).argmin()]
    slab, law = (
        [-trapezoid(u, screened(t)[1]) / PEAK**2 for t, u in zip(durations, us, strict=True)]
        for us in ([screened(t)[2] for t in durations], [of_law(t, tau) for t in durations])
    )
    assert np.argmax(slab) == np.argmax(law) == 1  # the loop opens most at the middle rate
    # Far from it the loop of the law is right within a factor of two: the fast slab charges more slowly.
    assert np.abs(np.log(np.divide(law, slab))).max() < np.log(2.0)
