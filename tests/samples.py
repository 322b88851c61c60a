"""Small problems and curves that many tests share."""

from typing import Any

import numpy as np

from grainscout.records import Budget, IVCurve, Problem, Scan, Waveform

SWEEP = Waveform.triangle(samples=5)


def problem_on(
    scan: Any,
    candidates: Any = None,
    *,
    waveform: Waveform = SWEEP,
    curves: int = 9,
    step: tuple[float, float] = (1e-8, 1e-8),
    **others: Any,
) -> Problem:
    """A problem on a scan or a height map, with every pixel a candidate unless some are given."""
    if not isinstance(scan, Scan):
        scan = Scan(channels={"height": scan}, pixel_size=step)
    if candidates is None:
        candidates = np.argwhere(np.ones(scan.shape, bool))
    budget = Budget(curves=curves)
    return Problem(scan=scan, candidates=candidates, waveform=waveform, budget=budget, **others)


def curve_of(waveform: Waveform, current: Any, **others: Any) -> IVCurve:
    """A curve on the axes of a waveform."""
    return IVCurve(voltage=waveform.voltage, current=current, time=waveform.time, **others)


def fresh(policy: Any, problem: Problem, seed: int = 0) -> Any:
    """The policy, reset."""
    policy.reset(problem, rng=np.random.default_rng(seed))
    return policy


def package(folder: Any, name: str, code: str, **groups: str) -> Any:
    """An installed package as Python sees one: a module, and its entry points by group beside it."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    text = "".join(f"[grainscout.{group}]\n{entry}\n" for group, entry in groups.items())
    (info / "entry_points.txt").write_text(text)
    return folder
