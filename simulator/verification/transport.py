"""Known behaviour of the transport model, recomputed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.integrate import trapezoid

from grainscout.records import DataError, FloatArray, Waveform
from grainscout.simulator.film.mixture import Changes, archetype_table, blend
from grainscout.simulator.transport.fit import fit_iv
from grainscout.simulator.transport.kernel import iv_curves
from grainscout.simulator.transport.parameters import (
    ARCHETYPES,
    PARAMETERS,
    TransportGlobals,
    archetype_parameters,
)
from grainscout.simulator.transport.spec import TransportSpec
from grainscout.simulator.verification import reference

__all__ = ["Check", "verify"]

_PLAIN = TransportGlobals(Cs=0.0, Ioff=0.0)
_TRIANGLE = Waveform.triangle()
_OPEN = 0.025  # [nA], what counts as an open loop


@dataclass(frozen=True)
class Check:
    """A number and its known range."""

    name: str
    value: float
    low: float = -np.inf
    high: float = np.inf
    unit: str = ""

    @property
    def passed(self) -> bool:
        """True if low <= value <= high."""
        return bool(self.low <= self.value <= self.high)

    @property
    def target(self) -> str:
        """The range in words."""
        if self.low == self.high:
            return f"= {self.low:g}"
        if np.isinf(self.low):
            return f"<= {self.high:g}"
        if np.isinf(self.high):
            return f">= {self.low:g}"
        return f"{self.low:g} ... {self.high:g}"


def verify(real_curves: str | Path | None = None) -> list[Check]:
    """Check the transport model, within some seconds.

    Parameters
    ----------
    real_curves : path or None
        An ``.npz`` of measured curves to fit as well: voltage (samples,) [V], current_nA
        (n, samples) with NaN where it clips, and status (n, samples), +1 above 0.5 nA and -1
        below -0.1 nA.

    Raises
    ------
    DataError
        The file lacks a part.
    """
    real = list(_real(Path(real_curves))) if real_curves is not None else []
    parts = (_solver, _sweep_time, _limits, _windows, _spread, _junction, _forc)
    return [check for part in parts for check in part()] + real


def finer(waveform: Waveform, parts: int) -> Waveform:
    """Resample a waveform with `parts` samples for each one."""
    index = np.arange((len(waveform) - 1) * parts + 1) / parts
    coarse = np.arange(len(waveform))
    return Waveform(
        voltage=np.interp(index, coarse, waveform.voltage),
        time=np.interp(index, coarse, waveform.time),
        kind=waveform.kind,
    )


def _pure(name: str, points: int = 1) -> dict[str, FloatArray]:
    return {key: np.repeat(value, points) for key, value in archetype_parameters(name).items()}


def _solver() -> Iterator[Check]:
    waveforms = (
        _TRIANGLE,
        Waveform.bipolar(samples=501),
        Waveform.forc(branches=3),
        Waveform.pulses([0.8, 1.3, -0.5], rest=0.05, samples=8),
    )
    one, four, screening = 0.0, 0.0, 0.0
    for name in ARCHETYPES:
        p = _pure(name)
        point = {key: float(value[0]) for key, value in p.items()}
        for waveform in waveforms:
            exact, u, _ = reference.solve(point, waveform, light=0.1)
            result = iv_curves(p, waveform, light=0.1, trajectories=True)
            one = max(one, float(np.abs(result.current_nA[0] - exact).max()))
            fine = iv_curves(p, finer(waveform, 4), light=0.1).current_nA[0, ::4]
            four = max(four, float(np.abs(fine - exact).max()))
            path = result.u if result.u is not None else u[None]
            screening = max(screening, float(np.abs(path[0] - u).max()))
    yield Check("current against a stiff solver, 1 step a sample", one, high=5e-4, unit="nA")
    yield Check("... 4 steps a sample", four, high=3e-5, unit="nA")
    yield Check("u against a stiff solver", screening, high=1e-8, unit="V")
    curves = [
        iv_curves(_pure("heart"), finer(_TRIANGLE, parts), light=0.1).current_nA[0, ::parts]
        for parts in (1, 2, 64)
    ]
    errors = [float(np.abs(curve - curves[-1]).max()) for curve in curves[:-1]]
    order = float(np.log2(errors[0] / errors[1]))
    yield Check("order of the integrator", order, low=1.9, high=2.1)


def _sweep_time() -> Iterator[Check]:
    durations = np.logspace(-7, 7, 57)
    # The loop of the ion-activated path alone: screening and photocurrent have times of their own.
    p = _pure("heart") | {"IL": np.zeros(1), "kappa": np.zeros(1)}
    peaks = []
    for light in (0.0, 0.1):
        areas = []
        for duration in durations:
            sweep = Waveform.triangle(duration=duration)
            current = iv_curves(p, sweep, light=light, globals_=_PLAIN).current_nA[0]
            areas.append(-trapezoid(current, sweep.voltage))
        area = np.array(areas)
        turns = float((np.diff(np.sign(np.diff(area))) != 0).sum())
        slope = np.diff(np.log(area)) / np.diff(np.log(durations))
        peaks.append(durations[area.argmax()])
        label = f"loop area against sweep time, {light:g} sun"
        yield Check(f"{label}: maxima", turns, low=1, high=1)
        yield Check(f"{label}: fast slope", float(slope[0]), low=0.99, high=1.01)
        yield Check(f"{label}: slow slope", float(slope[-1]), low=-1.01, high=-0.99)
    ratio = float(peaks[1] / peaks[0])
    yield Check("sweep time of the largest loop, light over dark", ratio, high=0.9)


def _limits() -> Iterator[Check]:
    for label, nu, tau, k_max in (
        ("frozen ions", 1e-9, 1e9, 1e-7),
        ("quasi-static", 1e12, 1e-9, 1e12),
    ):
        gaps = []
        for name in ARCHETYPES:
            p = _pure(name) | {"nu": np.array([nu]), "tau": np.array([tau])}
            g = TransportGlobals(Cs=0.0, k_max=k_max)
            current = iv_curves(p, _TRIANGLE, light=0.1, globals_=g).current_nA[0]
            gaps.append(float(np.abs(current[:126] - current[125:][::-1]).max()))
        yield Check(f"{label}: largest opening", max(gaps), high=1e-5, unit="nA")
    rng = np.random.default_rng(0)
    zero, power = 0.0, np.inf
    for name in ARCHETYPES:
        state = np.column_stack([rng.uniform(-2, 2, 200), rng.uniform(0, 1, 200)])
        bipolar = Waveform.bipolar(samples=101)
        current = iv_curves(_pure(name, 200), bipolar, state=state, globals_=_PLAIN).current_nA
        zero = max(zero, float(np.abs(current[:, bipolar.voltage == 0.0]).max()))
        power = min(power, float((current * bipolar.voltage).min()))
    yield Check("dark: |I(0)| in any state", zero, low=0, high=0, unit="nA")
    yield Check("dark: smallest I V in any state", power, low=0, unit="nW")


def _opened(current: FloatArray) -> FloatArray:
    """1 where a triangle is open by 25 pA."""
    opened: FloatArray = (current[:, 125:][:, ::-1] - current[:, :126] > _OPEN).astype(float)
    return opened


def _lobes(opened: FloatArray) -> list[tuple[float, float]]:
    """First and last voltage of each open stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0.0], opened, [0.0]])))
    volts = _TRIANGLE.voltage
    return [(float(volts[a]), float(volts[b - 1])) for a, b in edges.reshape(-1, 2)]


def _windows() -> Iterator[Check]:
    expected = {
        "club": [(0.52, 1.03)],
        "heart": [(0.05, 0.35), (0.68, 1.33)],
        "diamond": [(1.28, 1.49)],
    }
    for name, wanted in expected.items():
        lobes = _lobes(_opened(iv_curves(_pure(name), _TRIANGLE, light=0.1).current_nA)[0])
        if name == "diamond":
            small = [lobe for lobe in lobes if lobe[1] < 0.3]
            yield Check("diamond: low-bias photocurrent lobes", len(small), low=1, high=1)
            lobes = [lobe for lobe in lobes if lobe[1] >= 0.3]
        yield Check(f"{name}: lobes", len(lobes), low=len(wanted), high=len(wanted))
        for number, (lobe, target) in enumerate(zip(lobes, wanted, strict=False), start=1):
            for end, value, near in zip(("opens", "closes"), lobe, target, strict=True):
                label = f"{name}: lobe {number} {end}"
                yield Check(label, value, low=near - 0.013, high=near + 0.013, unit="V")


def _spread() -> Iterator[Check]:
    points = 1000
    table = archetype_table(TransportSpec(), np.random.default_rng(0))
    lit: dict[str, list[list[tuple[float, float]]]] = {}
    for k, name in enumerate(ARCHETYPES):
        rng = np.random.default_rng(k)
        weights = np.zeros((points, 3))
        weights[:, k] = 1.0
        near = 0.0 if name == "club" else 1.0  # a boundary's own offset acts at boundaries
        changes = Changes(
            grain=rng.standard_normal(points),
            edge=near * rng.standard_normal(points),
            hidden=rng.standard_normal(points),
            gradient=np.zeros(points),
            ions=np.zeros(points),
        )
        current = iv_curves(blend(table, weights, changes), _TRIANGLE, light=0.1).current_nA
        lit[name] = [_lobes(row) for row in _opened(current)]
    club = np.mean([len(q) > 0 and q[0][0] >= 0.4 and q[-1][1] <= 1.15 for q in lit["club"]])
    heart = np.mean([len(q) == 2 for q in lit["heart"]])
    main = [[lobe for lobe in q if lobe[1] > 0.6] for q in lit["diamond"]]
    diamond = np.mean([len(q) > 0 and q[0][0] >= 1.2 and q[-1][1] <= 1.5 for q in main])
    label = "spread of a film:"
    yield Check(f"{label} clubs open in 0.4 ... 1.15 V only", float(club), low=0.99)
    yield Check(f"{label} hearts with two lobes", float(heart), low=0.99)
    yield Check(f"{label} diamonds open in 1.2 ... 1.5 V", float(diamond), low=0.95)


def _junction() -> Iterator[Check]:
    junction = _pure("heart") | {"phiJ": np.array([TransportSpec().junction_barrier])}
    for light, low, high in ((0.0, -np.inf, 0.05), (0.1, 0.5, np.inf)):
        top, inside = (
            float(iv_curves(p, _TRIANGLE, light=light, globals_=_PLAIN).current_nA.max())
            for p in (junction, _pure("club"))
        )
        name = f"junction over interior, maximum current at {light:g} sun"
        yield Check(name, top / inside, low=low, high=high)


def _forc() -> Iterator[Check]:
    forc = Waveform.forc(branches=6)
    p = {key: np.concatenate([_pure(name)[key] for name in ARCHETYPES]) for key in PARAMETERS}
    whole = iv_curves(p, forc, light=0.1).current_nA
    gap = 0.0
    for end in np.flatnonzero(forc.voltage == 0.0)[1:]:
        part = Waveform(voltage=forc.voltage[: end + 1], time=forc.time[: end + 1])
        cut = iv_curves(p, part, light=0.1).current_nA
        gap = max(gap, float(np.abs(cut - whole[:, : end + 1]).max()))
    yield Check("FORC: what follows changes what was", gap, low=0, high=0, unit="nA")
    short = Waveform.triangle(peak=0.48, samples=81, duration=0.32)
    current = iv_curves(_pure("club"), short, light=0.1).current_nA[0]
    opening = float((current[40:][::-1] - current[:41]).max())
    yield Check("FORC: opening below a club's window", opening, high=_OPEN, unit="nA")


def _real(path: Path) -> Iterator[Check]:
    try:
        with np.load(path) as file:
            voltage, current, status = (file[key] for key in ("voltage", "current_nA", "status"))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"real curves must be an .npz as verify describes; {path}: {error}"
        ) from error
    window = (-0.1e-9, 0.5e-9)
    fits = fit_iv(voltage, current * 1e-9, clipped=status, window=window)
    shares = np.array([100.0 * fit.rms_share for fit in fits])
    label = f"{len(fits)} real curves, rms over visible window:"
    yield Check(f"{label} median", float(np.median(shares)), high=0.8, unit="%")
    yield Check(f"{label} largest", float(shares.max()), high=2.5, unit="%")
