"""Curves of contact points with ionic memory.

The two-state model in V, nA, s, suns and K, for n contact points at once:

    du/dt = (V - u)/tau_u         ionic screening potential u [V]
    dx/dt = k (x_inf(V) - x)      ion-activated fraction x
    I = I_e + I_ph + Cs dV/dt + gsh V + Ioff

I_e is a prompt path of slope g1 above V1 and an ion-activated path of slope g2 x above V2, both
shifted by the screening. I_ph is a screened photocurrent, negative at 0 V. In the dark with
Cs = Ioff = 0, I(0) = 0 exactly for any state and I V >= 0.

A sample reads the displacement current of the ramp that *ends* there (0 at the first sample: the
bias rested there before), so that no sample knows the future. The waveform is linear between
samples. Long steps are split inside, at most 12 mV each, and only samples come back. Each point's
result does not depend on which other points are computed with it.

The model is a zero-dimensional point contact. Ions and heat do not flow laterally, so neighbouring
measurements meet only through states that are carried over, and series resistance has no feedback
on the ions. The laws of temperature and light are assumed, and I_ph is not a carrier balance. A
good fit says that the family covers a curve's shape, not that the mechanism is right.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records import ConfigError, DataError, FloatArray, Waveform
from grainscout.simulator.transport.current import Conditions, currents, extremes, telegraph, wiring
from grainscout.simulator.transport.integrator import activation, grid, integrate, rate
from grainscout.simulator.transport.parameters import (
    TransportGlobals,
    check_conditions,
    check_parameters,
    ionic_factors,
)

__all__ = ["IVResult", "iv_curves", "relax", "rest_state", "stray_current"]

_DEFAULTS = TransportGlobals()
#: Points of a block, fewer for long waveforms: its tables and trajectories stay near the core, and
#: no array of it is larger than _CELLS numbers (16 MB).
_BLOCK, _CELLS = 1024, 1 << 21
_NA = 1e-9  # the model's unit of current [A]


@dataclass(frozen=True, kw_only=True, eq=False)
class IVResult:
    """Noiseless curves and the states after them."""

    #: Current in the model's own unit [nA]. `current` has it in amperes, (n, samples)
    current_nA: FloatArray
    state: FloatArray  #: Screening u [V] and activated fraction x after the last sample, (n, 2)
    #: u, x: Trajectories of the states, u in volts. None if not asked for, (n, samples)
    u: FloatArray | None = None
    x: FloatArray | None = None

    @property
    def current(self) -> FloatArray:
        """Current [A], (n, samples)."""
        return self.current_nA * _NA


def stray_current(waveform: Waveform, globals_: TransportGlobals = _DEFAULTS) -> FloatArray:
    """Current of the wiring [A], (samples,).

    Parameters
    ----------
    waveform : Waveform
        Applied voltage.
    globals_ : TransportGlobals
        Its `Cs` and `Ioff` are used.
    """
    return _NA * wiring(grid(waveform), globals_)


def iv_curves(
    parameters: Mapping[str, ArrayLike],
    waveform: Waveform,
    *,
    light: float = 0.0,
    temperature: float = 298.0,
    state: FloatArray | None = None,
    globals_: TransportGlobals = _DEFAULTS,
    trajectories: bool = False,
    rng: np.random.Generator | None = None,
) -> IVResult:
    """Compute the curves of n contact points.

    Parameters
    ----------
    parameters : mapping of str to (n,) array of float, or float
        Values by the names in `PARAMETERS`, within the limits there.
    waveform : Waveform
        Voltage at the sample.
    light : float
        Illumination [suns].
    temperature : float
        Temperature of the sample [K].
    state : (n, 2) array of float or None
        u [V] and x at the first sample. A long rest at 0 V if None.
    globals_ : TransportGlobals
        Constants that all points share.
    trajectories : bool
        Return u and x at every sample.
    rng : numpy.random.Generator or None
        Draws the telegraph conductance of this measurement. None gives its mean, the truth.

    Raises
    ------
    ConfigError
        Parameters or conditions are outside their range.
    DataError
        The state has the wrong shape, or x outside 0 ... 1.
    """
    p = check_parameters(parameters)
    check_conditions(light, temperature)
    n, samples = p["w"].size, len(waveform)
    start = _rest(p, 0.0) if state is None else _check_state(state, n)
    steps = grid(waveform)
    conditions = Conditions(light=light, temperature=temperature, g=globals_)
    factor, tau = ionic_factors(p, light, temperature, globals_)
    extreme = extremes(p, start[:, 0], waveform.peak, conditions)
    noisy = rng is not None and p["telegraph"].any()
    switching = telegraph(steps, p, rng) if noisy and rng is not None else None

    current, end = np.empty((n, samples)), np.empty((n, 2))
    u_path, x_path = np.empty((2, n, samples)) if trajectories else (None, None)
    points = max(1, min(_BLOCK, _CELLS // max(samples, steps.levels.size)))
    for first in range(0, n, points):
        i = slice(first, first + points)
        block = {name: array[i] for name, array in p.items()}
        away, x = integrate(
            steps, block, factor[i], tau[i], globals_.k_max, start[i, 0], start[i, 1]
        )
        end[i, 0], end[i, 1] = away[-1] + steps.voltage[-1], x[-1]
        if u_path is not None and x_path is not None:
            u_path[i], x_path[i] = (away + steps.voltage[:, None]).T, x.T
        drawn = None if switching is None else switching[i]
        currents(steps, block, away, x, conditions, drawn, extreme[i], current[i])
    if p["gsh"].any():
        current += np.multiply.outer(p["gsh"], steps.voltage)
    return IVResult(current_nA=current, state=end, u=u_path, x=x_path)


def rest_state(parameters: Mapping[str, ArrayLike], *, voltage: float = 0.0) -> FloatArray:
    """State after a long rest.

    Parameters
    ----------
    parameters : mapping of str to (n,) array of float, or float
        As for `iv_curves`.
    voltage : float
        Bias at rest [V].

    Returns
    -------
    (n, 2) array of float
        u [V] and x.
    """
    return _rest(check_parameters(parameters), voltage)


def relax(
    state: FloatArray,
    parameters: Mapping[str, ArrayLike],
    seconds: ArrayLike,
    *,
    light: float = 0.0,
    temperature: float = 298.0,
    voltage: float = 0.0,
    globals_: TransportGlobals = _DEFAULTS,
) -> FloatArray:
    """State after some time at a constant voltage, exactly.

    Parameters
    ----------
    state : (n, 2) array of float
        u [V] and x now.
    parameters : mapping of str to (n,) array of float, or float
        As for `iv_curves`.
    seconds : float or (n,) array of float
        Duration [s], >= 0.
    light, temperature : float
        Conditions [suns], [K].
    voltage : float
        Bias [V].
    globals_ : TransportGlobals
        Constants that all points share.

    Returns
    -------
    (n, 2) array of float
        u [V] and x.

    Raises
    ------
    ConfigError
        `seconds` is negative or not a number, or as for `iv_curves`.
    """
    p = check_parameters(parameters)
    check_conditions(light, temperature)
    span = np.asarray(seconds, dtype=np.float64)
    if span.shape not in ((), (p["w"].size,)):
        raise ConfigError(
            f"relax seconds must be a number or ({p['w'].size},), one for each point; got shape "
            f"{span.shape}"
        )
    if span.size and not span.min() >= 0.0:
        raise ConfigError(f"relax seconds must be >= 0 s; got {span.min()}")
    now = _check_state(state, p["w"].size)
    factor, tau = ionic_factors(p, light, temperature, globals_)
    rest = _rest(p, voltage)
    k = rate(np.array([voltage]), p["Vx"], p["wx"], p["nu"], factor, globals_.k_max)[0]
    decay = np.exp(np.stack([-span / tau, -span * k], axis=1))
    relaxed: FloatArray = rest + (now - rest) * decay
    return relaxed


def _rest(p: Mapping[str, FloatArray], voltage: float) -> FloatArray:
    x = activation(np.array([voltage]), p["Vx"], p["wx"])[0]
    return np.stack([np.full(x.size, voltage), x], axis=1)


def _check_state(state: FloatArray, n: int) -> FloatArray:
    array = np.asarray(state, dtype=np.float64)
    if array.shape != (n, 2):
        raise DataError(
            f"transport state must be ({n}, 2): u [V] and x of each point; got shape {array.shape}"
        )
    # A rounding error beyond the ends is what an integrator leaves; more is a mistake.
    x = array[:, 1]
    if array.size and not (
        np.isfinite(array[:, 0]).all() and x.min() >= -1e-9 and x.max() <= 1 + 1e-9
    ):
        raise DataError("transport state must have a finite u [V] and x in 0 ... 1; got others")
    return array
