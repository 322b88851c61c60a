"""The thermal groove against an independent solution of its differential equation."""

import numpy as np
import pytest
from scipy.integrate import solve_bvp
from scipy.optimize import brentq

from grainscout.simulator.film.mullins_groove import MULLINS_HUMP, mullins


def test_mullins_solves_its_equation():
    def right(u, y):
        return np.vstack([y[1], y[2], y[3], u / 4 * y[1] - y[0] / 4])

    def ends(a, b):
        return np.array([a[1] - 1, a[3], b[0], b[1]])

    u = np.linspace(0, 28, 400)
    guess = np.zeros((4, u.size))
    guess[1, 0] = 1
    solution = solve_bvp(right, ends, u, guess, tol=1e-9, max_nodes=50000)
    assert solution.success
    assert np.abs(solution.sol(u)[0] - mullins(u)).max() < 1e-8
    hump = brentq(lambda x: float(solution.sol(x)[1]), 2.0, 2.6)
    assert pytest.approx(hump, abs=1e-5) == MULLINS_HUMP
