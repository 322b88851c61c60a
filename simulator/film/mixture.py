"""Mixtures of archetypes of a given contrast and share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.optimize import brentq

from grainscout.records import ConfigError, FloatArray, Waveform
from grainscout.simulator.transport.family import CURRENT, Family
from grainscout.simulator.transport.parameters import ARCHETYPES
from grainscout.simulator.transport.spec import TransportSpec

#: Of an archetype between films, for one unit of film_spread.
_FILM = {"V": 0.03, "1": 0.05, "eV": 0.03}
_FILM_LOGARITHM = 0.15
_MOST_DRAWS = 50  # of a film's archetypes, until one set can have the boundary contrast


@dataclass(frozen=True, kw_only=True, eq=False)
class Changes:
    """Departures from the mixture, in standard deviations."""

    grain: FloatArray  # composition of the grain
    edge: FloatArray  # offset of the boundary
    hidden: FloatArray  # hidden field
    gradient: FloatArray  # composition across the frame
    ions: FloatArray  # ln factor of the ionic rates
    #: Shifts by parameter name, in its unit or logarithm.
    own: dict[str, FloatArray] = field(default_factory=dict)

    def at(self, index: NDArray[np.intp]) -> "Changes":
        """Changes at some flat indices."""
        parts = {name: array.flat[index] for name, array in vars(self).items() if name != "own"}
        return Changes(**parts, own={name: array.flat[index] for name, array in self.own.items()})

    def scaled(self, size: float) -> "Changes":
        """Changes with the unseen ones times `size`."""
        return Changes(
            grain=size * self.grain,
            edge=size * self.edge,
            hidden=size * self.hidden,
            gradient=self.gradient,
            ions=self.ions,
            own={name: size * array for name, array in self.own.items()},
        )


def blend(
    table: Mapping[str, FloatArray], weights: FloatArray, changes: Changes, family: Family = CURRENT
) -> dict[str, FloatArray]:
    """Parameters of mixtures (..., 3), moved by `changes`."""
    grain = changes.grain + changes.gradient
    shape = weights.shape[:-1]
    values: dict[str, FloatArray] = {}
    for name, parameter in family.parameters.items():
        geometric = parameter.blend == "geometric"
        ends = table[name]
        moves = (
            (grain, family.grain.get(name)),
            (changes.edge, family.edge.get(name)),
            (changes.hidden, family.hidden.get(name)),
            (changes.ions, family.ions.get(name)),
            (changes.own.get(name, 0.0), 1.0 if name in changes.own else None),
        )
        if np.ptp(ends) == 0.0 and all(by is None for _, by in moves):
            values[name] = np.broadcast_to(ends[0], shape)  # costs no memory
            continue
        mixed = weights @ (np.log(ends) if geometric else ends)
        for change, by in moves:
            if by is not None:
                mixed += by * change
        values[name] = np.exp(mixed, out=mixed) if geometric else mixed
        if name in changes.own:
            np.clip(values[name], *parameter.limits, out=values[name])
    return values


def moved(
    parameters: Mapping[str, FloatArray],
    family: Family = CURRENT,
    *,
    grain: float | FloatArray = 0.0,
    edge: float | FloatArray = 0.0,
    hidden: float | FloatArray = 0.0,
) -> dict[str, FloatArray]:
    """Parameters (n,) with further unseen changes, in standard deviations as in `Changes`."""
    values = dict(parameters)
    for change, effects in ((grain, family.grain), (edge, family.edge), (hidden, family.hidden)):
        for name, by in effects.items():
            geometric = family.parameters[name].blend == "geometric"
            step = by * np.asarray(change)
            values[name] = values[name] * np.exp(step) if geometric else values[name] + step
    return values


def archetype_table(spec: TransportSpec, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Values (club, heart, diamond) of one film by name, drawn until they can have the contrast."""
    for _ in range(_MOST_DRAWS if spec.film_spread else 1):
        table = _drawn_table(spec, rng)
        if spec.boundary_contrast is None:
            return table
        low, high = (_contrast(table, spec, shift) for shift in (-10.0, 10.0))
        if low < spec.boundary_contrast < high:
            return _with_contrast(table, spec, spec.boundary_contrast)
    raise ConfigError(
        f"TransportSpec boundary_contrast must be in {low:.2f} ... {high:.2f} for these "
        f"archetypes; got {spec.boundary_contrast}"
    )


def _drawn_table(spec: TransportSpec, rng: np.random.Generator) -> dict[str, FloatArray]:
    table = {}
    for name, parameter in spec.law.parameters.items():
        values = np.array(spec.archetypes.get(name, parameter.archetypes), dtype=np.float64)
        draws = spec.film_spread * rng.standard_normal(len(ARCHETYPES))
        if parameter.default is None and spec.film_spread:
            if parameter.blend == "geometric":
                values *= np.exp(_FILM_LOGARITHM * draws)
            else:
                values += _FILM[parameter.unit] * draws
        table[name] = values * spec.sweep_s ** -spec.law.ions.get(name, 0.0)
    for name in table.keys() & {"ripple", "telegraph"}:
        table[name] = np.full(len(ARCHETYPES), getattr(spec, name))
    return table


def _contrast(table: Mapping[str, FloatArray], spec: TransportSpec, shift: float) -> float:
    """ln of the heart's loop area over the club's."""
    ions = np.array([0.0, spec.boundary_rates])
    pure = {
        name: values[:2] * np.exp(spec.law.ions.get(name, 0.0) * ions)
        for name, values in _shifted(table, shift).items()
    }
    club, heart = loop_area(pure, spec)
    return float(np.log(max(heart, 1e-12) / max(club, 1e-12)))


def _with_contrast(
    table: Mapping[str, FloatArray], spec: TransportSpec, wanted: float
) -> dict[str, FloatArray]:
    shift = brentq(lambda s: _contrast(table, spec, s) - wanted, -10.0, 10.0, xtol=1e-6)
    return _shifted(table, float(shift))


def _shifted(table: Mapping[str, FloatArray], shift: float) -> dict[str, FloatArray]:
    """Move conductance to path 2 outside clubs, back inside."""
    total = table["g1"] + table["g2"]
    odds = table["g2"] / table["g1"] * np.exp(shift * np.array([-0.5, 0.5, 0.5]))
    return {**table, "g1": total / (1.0 + odds), "g2": total * odds / (1.0 + odds)}


def perturbation_for_share(
    table: Mapping[str, FloatArray],
    weights: FloatArray,
    changes: Changes,
    given: Mapping[str, FloatArray],
    spec: TransportSpec,
) -> float:
    """Factor on the unseen changes for `spec.structure_share`, the squared correlation with the bare loop area."""
    wanted = 1.0 if spec.structure_share is None else spec.structure_share
    bare = loop_area({**blend(table, weights, changes.scaled(0.0), spec.law), **given}, spec)

    if bare.size < 2 or np.ptp(bare) < 1e-9 * np.abs(bare).max():
        raise ConfigError(
            f"TransportSpec structure_share must be None on a film without structure; got {wanted}"
        )

    def excess(size: float) -> float:
        area = loop_area({**blend(table, weights, changes.scaled(size), spec.law), **given}, spec)
        return float(np.corrcoef(area, bare)[0, 1] ** 2) - wanted

    if wanted == 1.0:
        return 0.0
    largest = 5.0
    if excess(largest) > 0.0:
        raise ConfigError(
            f"TransportSpec structure_share must be >= {excess(largest) + wanted:.2f} for this film; "
            f"got {wanted} (raise composition, boundary_spread or hidden)"
        )
    return float(brentq(excess, 0.0, largest, xtol=5e-3))


def loop_area(parameters: Mapping[str, Any], spec: TransportSpec) -> FloatArray:
    """Loop area [nA V], > 0 if anticlockwise."""
    g = spec.globals_
    sweep = Waveform.triangle(peak=1.5, samples=101, duration=spec.sweep_s)
    current = spec.law.curves(
        parameters, sweep, light=g.L0, temperature=g.T0, globals_=g
    ).current_nA
    area: FloatArray = -trapezoid(current, sweep.voltage, axis=1)
    return area
