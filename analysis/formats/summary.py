"""What a file was understood to hold, in one screen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from grainscout.analysis.curves.sweep import read_sweep
from grainscout.records import FloatArray, Recording, Scan

#: What an AFM measures, from the least to the most: of a film that is imaged, of a usual curve.
_SIZES = {
    "pixel": (1e-11, 1e-4, "m"),
    "relief": (1e-12, 1e-4, "m"),
    "bias": (0.0, 300.0, "V"),  # with the amplifier of piezoresponse
    "current": (1e-15, 0.01, "A"),  # above the noise of any amplifier, below what melts a tip
}
#: Share of heights at one value inside or at the end of their range, where they have many values.
_BLANK, _CUT, _MANY = 0.25, 0.03, 200


def summary_of(data: Scan | Recording) -> list[tuple[str, str]]:
    """Describe a scan or recording in rows of a topic and a sentence."""
    scan = data.scan if isinstance(data, Recording) else data
    rows = [("format", str(data.metadata.get("source", "export of Grainscout")))]
    rows += list(_pixels(scan))
    if isinstance(data, Recording):
        rows += list(_curves(data))
    rows += [("note", note) for note in notes_of(data)]
    return rows


def notes_of(data: Scan | Recording) -> list[str]:
    """What was assumed, filled or left out when a file was read, and what is odd, in sentences."""
    notes = [*data.metadata.get("notes", ())]
    if isinstance(data, Recording):
        notes += [n for n in data.scan.metadata.get("notes", ()) if n not in notes]
    return [*map(str, notes), *_odd(data)]


def _odd(data: Scan | Recording) -> Iterator[str]:
    """What no AFM measures: most often a wrong unit or sign."""
    scan = data.scan if isinstance(data, Recording) else data
    sizes = {"pixel": max(scan.pixel_size)}
    if "height" in scan.channels:
        sizes["relief"] = float(np.ptp(scan.height))
    if isinstance(data, Recording):
        volts = data.waveform.voltage
        sizes["bias"] = float(np.abs(volts).max())
        known = np.where(np.isfinite(data.current), data.current, 0.0)
        if data.unit == "A":
            sizes["current"] = float(np.median(np.abs(known).max(axis=1)))
        against = known @ volts < -0.9 * (np.abs(known) @ np.abs(volts))
        if data.unit == "A" and against.mean() > 0.5:
            yield "the current flows against the voltage: is the sign of one of them inverted?"
    for name, size in sizes.items():
        low, high, unit = _SIZES[name]
        if size and not low <= size <= high:
            yield f"a {name} of {_quantity(size, unit)} is none of an AFM: is its unit right?"
    levels, counts = np.unique(scan.channels.get("height", 0.0), return_counts=True)
    at, share = int(counts.argmax()), float(counts.max() / counts.sum())
    if levels.size > _MANY and share > (_CUT if at in (0, levels.size - 1) else _BLANK):
        value = _quantity(float(levels[at]), "m")
        yield f"{share:.0%} of the heights are exactly {value}: a mask or the end of the range"


def _pixels(scan: Scan) -> Iterator[tuple[str, str]]:
    rows, columns = scan.shape
    step = [f"{s * 1e9:.4g}" for s in scan.pixel_size]
    size = [f"{n * s * 1e9:.4g}" for n, s in zip(scan.shape, scan.pixel_size, strict=True)]
    text = f"{rows} x {columns} pixels of {step[0]} x {step[1]} nm ({size[0]} x {size[1]} nm)"
    turned = f", turned by {np.degrees(scan.angle):.4g} degrees" if scan.angle else ""
    yield "pixels", text + turned
    names = scan.metadata.get("channel_names", {})
    for name, image in scan.channels.items():
        unit = scan.units.get(name, "")
        origin = names.get(name, name)
        seen = ", what policies see" if name == scan.image_name else ""
        yield (
            f"channel {name}",
            f"{_quantity(float(image.min()), unit)} to {_quantity(float(image.max()), unit)}, "
            f"a range of {_quantity(float(np.ptp(image)), unit)}"
            f"{'' if unit else ' (unit unknown)'}"
            f"{'' if origin == name else f', {origin!r} in the file'}{seen}",
        )


def _curves(data: Recording) -> Iterator[tuple[str, str]]:
    wave = data.waveform
    rows, columns = data.scan.shape
    grid = "all pixels" if data.complete else f"{len(data)} of {rows * columns} pixels"
    known = np.abs(data.current[np.isfinite(data.current)])
    known = known[known < 1e9]
    largest = _quantity(float(known.max()), data.unit) if known.size else "no value"
    yield "curves", f"{len(data)} curves of {len(wave)} samples at {grid}, up to {largest}"
    yield "sweep", _sweep(wave.voltage, wave.time)
    up, down = float(wave.voltage.max()), float(wave.voltage.min())
    sides = [f"positive to {up:g} V"] if up > 0 else []
    sides += [f"negative to {down:g} V"] if down < 0 else []
    yield "sides", " and ".join(sides) or "none"
    yield "loop", _loop(wave.voltage)
    yield "rails", _rails(data)
    if str(data.metadata.get("source", "")).startswith("Grainscout journal"):
        yield from _quality(data.metadata)


def _quality(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Verdicts that a run gave its curves; none in files of before."""
    usable, reasons = metadata.get("usable", ()), metadata.get("quality_reasons", ())
    if not usable:
        return
    bad = [reason for reason, good in zip(reasons, usable, strict=False) if not good]
    why = "; ".join(f"{reason} ({number})" for reason, number in Counter(bad).most_common())
    yield "quality", f"{len(bad)} of {len(usable)} curves are unusable{': ' if why else ''}{why}"


def _sweep(voltage: FloatArray, time: FloatArray) -> str:
    """Segments of a sweep with their samples and times."""
    pieces = read_sweep(voltage).pieces
    shown = [
        f"{voltage[a]:.4g} to {voltage[b]:.4g} V ({b - a + 1} samples, {time[b] - time[a]:.3g} s)"
        for a, b in pieces[:6]
    ]
    more = f" and {len(pieces) - 6} more" if len(pieces) > 6 else ""
    return f"{'; '.join(shown)}{more}; {float(np.ptp(time)):.4g} s together"


def _loop(voltage: FloatArray) -> str:
    sweep = read_sweep(voltage)
    if not sweep.is_loop:
        return f"none ({sweep.kind})"
    lobes = [s for s in (sweep, sweep.other) if s is not None]
    return " and ".join(f"{s.grid[0]:.4g} to {s.grid[-1]:.4g} V" for s in lobes)


def _rails(data: Recording) -> str:
    """Levels at which curves rail, and how many do."""
    if not data.saturated.any():
        return "none found" if data.unit == "A" else f"not looked for in {data.unit}"
    reached = int(data.saturated.any(axis=1).sum())
    known = np.isfinite(data.current) & data.saturated
    with np.errstate(invalid="ignore"):
        ends = [
            np.where(known & (sign * data.current > 0), np.abs(data.current), np.nan)
            for sign in (1, -1)
        ]
    levels = []
    for sign, values in zip(("+", "-"), ends, strict=True):
        some = np.isfinite(values).any(axis=1)
        if some.any():
            each = np.nanmedian(values[some], axis=1)
            kinds = np.unique([float(f"{v:.2g}") for v in each])
            levels += [f"{sign}{_quantity(float(v), data.unit)}" for v in kinds[:4]]
            levels += ["..."] if kinds.size > 4 else []
    return f"{reached} of {len(data)} curves, at {', '.join(levels)}"


def _quantity(value: float, unit: str) -> str:
    """A value with a prefix of SI."""
    if not unit or unit in ("a.u.", "deg", "%") or value == 0 or not np.isfinite(value):
        return f"{value:.4g} {unit}".rstrip()
    power = int(np.clip(3 * np.floor(np.log10(abs(value)) / 3), -15, 9))
    prefix = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}[power]
    return f"{value / 10.0**power:.4g} {prefix}{unit}"
