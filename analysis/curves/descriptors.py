"""Descriptors: numbers with uncertainty, validity and version.

The version of a descriptor rises whenever its definition changes, so that stored values are never
compared with numbers of another meaning::

    turn_on = describe("turn_on", voltage, current)    # voltage (s,) [V], current (n, s) [A]
    turn_on.value[turn_on.valid & ~turn_on.censored]   # [V]
    turn_on.reasons()                                  # text for each of the others

* ``valid`` False: there is no value (NaN), see ``flags``.
* ``censored`` True: the value is a bound. The end of the sweep is a lower bound of a turn-on that
  did not happen. A current at the amplifier's rail is a lower bound, and one below the noise an
  upper bound (flag BELOW_NOISE).
* ``sigma``: one standard deviation from the white noise of the curve itself. It does not contain
  1/f noise, drift or the amplifier's lag, which a single curve cannot show.

A voltage axis is cut at its turning points (`grainscout.analysis.curves.sweep`), so that triangles,
bipolar sweeps and reversal families all have a forward and a reverse branch. A one-way sweep has no
reverse branch, and its loop descriptors are invalid (flag NO_REVERSE).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from grainscout.analysis.curves import definitions as definitions
from grainscout.analysis.curves import turn_on
from grainscout.analysis.curves.block import Curves, Flag, explain
from grainscout.analysis.curves.definitions import Raw
from grainscout.analysis.curves.sweep import Sweep, read_sweep
from grainscout.records.arrays import BoolArray, FloatArray, IntArray
from grainscout.records.curve import IVCurve
from grainscout.records.errors import ConfigError, DataError
from grainscout.records.problem import Problem

# Rows in a block: small enough for its intermediates to stay in the cache.
_BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """A named definition."""

    #: name, unit: Unit such as "A V", or "1" for a ratio
    name: str
    unit: str
    version: int  #: Rises with every change of meaning
    compute: Callable[[Curves], Raw]  #: Function of a block of curves

    @property
    def meaning(self) -> str:
        """Definition in words."""
        function = self.compute.func if isinstance(self.compute, partial) else self.compute
        return (function.__doc__ or "").strip()


@dataclass(frozen=True, kw_only=True, eq=False)
class Described:
    """One descriptor of n curves."""

    #: name, unit: Name of the descriptor and unit of `value`
    name: str
    #: value, sigma: Value and standard deviation in `unit`, NaN where invalid, (n,)
    value: FloatArray
    sigma: FloatArray
    #: valid, censored: Curves with a value, and those whose value is a bound, (n,)
    valid: BoolArray
    censored: BoolArray
    flags: IntArray  #: `Flag` values, (n,)
    unit: str
    version: int  #: Version of the definition

    def __len__(self) -> int:
        return len(self.value)

    def reasons(self) -> list[str]:
        """Explain the flags of each curve in words."""
        return [explain(int(flags)) for flags in self.flags]


def _entry(name: str, unit: str, compute: Callable[[Curves], Raw], version: int = 1) -> Descriptor:
    return Descriptor(name=name, unit=unit, version=version, compute=compute)


def _band(low: float, high: float) -> Descriptor:
    compute = partial(definitions.loop_area, low=low, high=high)
    return _entry(f"loop_{low}_{high}", "A V", compute)


#: All named descriptors. `loop_<from>_<to>` with any two voltages is accepted as well.
DESCRIPTORS: dict[str, Descriptor] = {
    d.name: d
    for d in (
        _entry("turn_on", "V", turn_on.turn_on, version=2),
        _entry("turn_on_start", "V", turn_on.turn_on_start, version=2),
        _entry("turn_on_fraction", "V", turn_on.turn_on_fraction, version=2),
        _entry("loop_area", "A V", definitions.loop_area, version=2),
        _entry("hysteresis", "1", definitions.hysteresis, version=2),
        _entry("hysteresis_signed", "1", definitions.hysteresis_signed, version=2),
        _band(0.5, 1.0),
        _band(0.7, 1.3),
        _band(1.3, 1.5),
        _entry("max_current", "A", definitions.max_current, version=2),
        _entry("log_max_current", "log10 A", definitions.log_max_current, version=2),
        _entry("rectification", "log10", definitions.rectification),
        _entry("zero_bias_current", "A", definitions.zero_bias_current),
        _entry("conductance", "S", definitions.conductance),
    )
}

#: Descriptors by functions of the user's that a task named. They are in no list.
USER_DESCRIPTORS: dict[str, Descriptor] = {}

_LOOP_BAND = re.compile(r"loop_(-?\d+(?:\.\d+)?)_(-?\d+(?:\.\d+)?)")


def descriptor_names() -> list[str]:
    """List the descriptors in the order of their families."""
    return list(DESCRIPTORS)


def find_descriptor(name: str) -> Descriptor:
    """Look a descriptor up by name (ConfigError if unknown)."""
    if name in DESCRIPTORS or name in USER_DESCRIPTORS:
        return DESCRIPTORS.get(name) or USER_DESCRIPTORS[name]
    if ":" in name:
        raise ConfigError(
            f"descriptor {name!r} is a function of a user's: it is known once a task names it"
        )
    band = _LOOP_BAND.fullmatch(name)
    if band is None or not float(band[1]) < float(band[2]):
        raise ConfigError(
            f"descriptor must be one of {', '.join(DESCRIPTORS)}, or loop_<from>_<to> with two "
            f"rising voltages; got {name!r}"
        )
    return _band(float(band[1]), float(band[2]))


def describe(
    name: str, voltage: ArrayLike, current: ArrayLike, saturated: ArrayLike | None = None
) -> Described:
    """Compute one descriptor of curves of one sweep.

    Parameters
    ----------
    name : str
        A name of `descriptor_names`, or ``loop_<from>_<to>`` with two voltages [V].
    voltage : (samples,) array of float
        Voltage [V] in the order of time.
    current : (n, samples) or (samples,) array of float
        Current [A], NaN where a sample was lost.
    saturated : (n, samples) array of bool, optional
        True at the amplifier's rail. If None, flat tops of four or more samples count as rails.

    Raises
    ------
    ConfigError
        For an unknown name.
    DataError
        For shapes that do not fit or voltages that are not finite. Other faults of a curve set flags.
    """
    return describe_all([name], voltage, current, saturated)[name]


def describe_all(
    names: Iterable[str], voltage: ArrayLike, current: ArrayLike, saturated: ArrayLike | None = None
) -> dict[str, Described]:
    """Compute several descriptors of the same curves. See `describe`."""
    chosen = {name: find_descriptor(name) for name in names}
    sweep, data, mask = check_curves(voltage, current, saturated)
    blocks: dict[str, list[tuple[Raw, Curves]]] = {name: [] for name in chosen}
    for start in range(0, max(len(data), 1), _BLOCK):
        rows = slice(start, start + _BLOCK)
        curves = Curves(sweep, data[rows], None if mask is None else mask[rows])
        for name, descriptor in chosen.items():
            raw = (
                definitions.undefined(curves, Flag.UNORDERED)
                if sweep.kind == "unordered"
                else descriptor.compute(curves)
            )
            blocks[name].append((raw, curves))
    return {name: _joined(chosen[name], name, parts) for name, parts in blocks.items()}


def describe_target(
    problem: Problem, current: ArrayLike, saturated: ArrayLike | None = None
) -> Described:
    """Describe curves, (n, samples) currents [A], by the problem's target."""
    return describe(problem.target, problem.waveform.voltage, current, saturated)


def check_target(name: str, voltage: ArrayLike) -> None:
    """Check that a descriptor is defined for a sweep [V]. ConfigError says why not."""
    volts = np.asarray(voltage, dtype=np.float64)
    ohmic = describe(name, volts, volts * 1e-9)
    never = Flag.NO_REVERSE | Flag.OUT_OF_RANGE | Flag.UNORDERED | Flag.TOO_SHORT
    flags = int(ohmic.flags[0]) & int(never)
    if not ohmic.valid[0] and flags:
        raise ConfigError(
            f"target {name!r} must be defined for the waveform of {volts.size} samples from "
            f"{volts.min():g} to {volts.max():g} V; got: {explain(flags)}. Choose another target, such "
            "as max_current, or another waveform"
        )


def describe_curve(name: str, curve: IVCurve) -> Described:
    """Describe one measured curve over its own voltages."""
    return describe(name, curve.voltage, curve.current, curve.saturated[None])


def check_curves(
    voltage: ArrayLike, current: ArrayLike, saturated: ArrayLike | None
) -> tuple[Sweep, FloatArray, BoolArray | None]:
    """Check shapes and return sweep, currents and mask."""
    sweep = read_sweep(np.asarray(voltage, dtype=np.float64))
    samples = sweep.voltage.size
    data = np.atleast_2d(np.asarray(current, dtype=np.float64))
    if data.ndim != 2 or data.shape[1] != samples:
        raise DataError(
            f"current must be an (n, {samples}) array [A], one column for each voltage; got shape "
            f"{data.shape}"
        )
    if saturated is None:
        return sweep, data, None
    mask = np.atleast_2d(np.asarray(saturated, dtype=bool))
    if mask.shape != data.shape:
        raise DataError(f"saturated must have the current's shape {data.shape}; got {mask.shape}")
    return sweep, data, mask


def _joined(descriptor: Descriptor, name: str, parts: list[tuple[Raw, Curves]]) -> Described:
    """Join the blocks and mask unusable curves."""
    value = np.concatenate([raw.value for raw, _ in parts])
    sigma = np.concatenate([raw.sigma for raw, _ in parts])
    flags = np.concatenate([raw.flags | curves.flags for raw, curves in parts])
    usable = np.concatenate([~raw.invalid & curves.usable for raw, curves in parts])
    valid = usable & np.isfinite(value)
    censored = np.concatenate([raw.censored for raw, _ in parts]) & valid
    value[~valid], sigma[~valid] = np.nan, np.nan
    for array in (value, sigma, valid, censored, flags):
        array.setflags(write=False)
    return Described(
        name=name,
        value=value,
        sigma=sigma,
        valid=valid,
        censored=censored,
        flags=flags,
        unit=descriptor.unit,
        version=descriptor.version,
    )
