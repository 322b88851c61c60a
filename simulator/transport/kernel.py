"""Current against voltage, time, light and temperature at contact points with ionic memory.

The two-state model of the physics notes.  V, nA, s, suns, K; n contact points at once:

    du/dt = (V - u)/tau_u         ionic screening potential u [V]
    dx/dt = k (x_inf(V) - x)      ion-activated fraction x
    I = I_e + I_ph + Cs dV/dt + gsh V + Ioff

I_e is a prompt path of slope g1 above V1 and an ion-activated path of slope g2 x above V2, both
shifted by the screening, I_ph a screened photocurrent (negative at 0 V).  In the dark with
Cs = Ioff = 0, I(0) = 0 exactly for any state and I V >= 0.

Conventions.  A sample reads the displacement current of the ramp that *ends* there (0 at the
first sample: the bias rested there before), so that no sample knows the future.  The waveform is
linear between samples; long steps are split inside, at most 12 mV each, and only samples come
back.  Each point's result does not depend on which other points are computed with it.

Limits.  A zero-dimensional point contact: no lateral flow of ions or heat, so neighbouring
measurements meet only through states that are carried over, and no feedback of series resistance
on the ions.  The laws of temperature and light are assumed, and I_ph is not a carrier balance.  A
good fit says that the family covers a curve's shape, not that the mechanism is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records import ConfigError, DataError, Waveform
from grainscout.records.arrays import FloatArray
from grainscout.simulator.transport import current as law_of_current
from grainscout.simulator.transport.integrator import activation, grid, integrate, rate
from grainscout.simulator.transport.parameters import (
    ARCHETYPES,
    PARAMETERS,
    Parameter,
    TransportGlobals,
    archetype_parameters,
    check_conditions,
    check_parameters,
    ionic_factors,
)

__all__ = [
    "ARCHETYPES",
    "PARAMETERS",
    "IVResult",
    "Parameter",
    "TransportGlobals",
    "archetype_parameters",
    "iv_curves",
    "relax",
    "rest_state",
]

_DEFAULTS = TransportGlobals()
#: Points of a block, fewer for long waveforms: its tables and trajectories stay near the core, and
#: no array of it is larger than _CELLS numbers (16 MB).
_BLOCK, _CELLS = 1024, 1 << 21


@dataclass(frozen=True, kw_only=True, eq=False)
class IVResult:
    """Noiseless curves.

    current_nA : (n, samples) [nA];  state : (n, 2), u [V] and x after the last sample;
    u [V], x : (n, samples) trajectories, or None if not asked for.
    """

    current_nA: FloatArray
    state: FloatArray
    u: FloatArray | None = None
    x: FloatArray | None = None


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
    """Curves of n contact points.

    parameters : name -> (n,) array or number, names and ranges in `PARAMETERS`.
    waveform : the voltage at the sample.  light [suns], temperature [K].
    state : (n, 2) u [V] and x at the first sample; a long rest at 0 V if None.
    rng : draws the telegraph conductance of this measurement; None gives its mean, the truth.

    Raises ConfigError for parameters or conditions outside their range, DataError for a state of
    the wrong shape or outside x in 0 ... 1.
    """
    p = check_parameters(parameters)
    check_conditions(light, temperature)
    n, samples = p["w"].size, len(waveform)
    start = _rest(p, 0.0) if state is None else _check_state(state, n)
    steps = grid(waveform)
    conditions = law_of_current.Conditions(light=light, temperature=temperature, g=globals_)
    factor, tau = ionic_factors(p, light, temperature, globals_)
    extreme = law_of_current.extremes(p, start[:, 0], waveform.peak, conditions)

    switching = None
    if rng is not None and p["telegraph"].any():
        switching = law_of_current.telegraph(steps, p, rng)

    current = np.empty((n, samples))
    end = np.empty((n, 2))
    paths = [np.empty((n, samples)) for _ in range(2)] if trajectories else []
    points = max(1, min(_BLOCK, _CELLS // max(samples, steps.levels.size)))
    for first in range(0, n, points):
        i = slice(first, first + points)
        block = {name: array[i] for name, array in p.items()}
        away, x = integrate(
            steps,
            vx=block["Vx"],
            wx=block["wx"],
            nu=block["nu"],
            factor=factor[i],
            tau=tau[i],
            k_max=globals_.k_max,
            u0=start[i, 0],
            x0=start[i, 1],
        )
        end[i, 0], end[i, 1] = away[-1] + steps.voltage[-1], x[-1]
        if trajectories:
            paths[0][i] = (away + steps.voltage[:, None]).T
            paths[1][i] = x.T
        hard = extreme[i]
        if hard.any():
            for evaluate, chosen in ((law_of_current.stable, hard), (law_of_current.fast, ~hard)):
                part = np.empty((int(chosen.sum()), samples))
                if part.size:
                    some = {name: array[chosen] for name, array in block.items()}
                    few = None if switching is None else switching[i][chosen]
                    evaluate(steps, some, away[:, chosen], x[:, chosen], conditions, few, part)
                    current[i][chosen] = part
        else:
            all_ = None if switching is None else switching[i]
            law_of_current.fast(steps, block, away, x, conditions, all_, current[i])
    if p["gsh"].any():
        current += np.multiply.outer(p["gsh"], steps.voltage)
    u_path, x_path = paths if trajectories else (None, None)
    return IVResult(current_nA=current, state=end, u=u_path, x=x_path)


def rest_state(parameters: Mapping[str, ArrayLike], *, voltage: float = 0.0) -> FloatArray:
    """The (n, 2) state u [V], x after a long rest at `voltage` [V]: u = V, x = x_inf(V)."""
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
    """The (n, 2) state after `seconds` (a number or (n,)) at a constant voltage [V]; exact.

    Raises ConfigError if seconds is negative or not a number, and as `iv_curves`.
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
