"""Curves of a file as one recording: which channel, in which order, with which rails."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import chosen_again, cropped
from grainscout.records import DataError, FloatArray, IntArray, Recording, Scan, Waveform
from grainscout.records.recording import find_rails

_BACK = re.compile(r"[\[(\s_-]*\b(bwd|backward|back|reverse|rev|retrace)\b[\])]*", re.IGNORECASE)
_FORWARD = re.compile(r"[\[(\s_-]*\b(fwd|forward|forth|trace)\b[\])]*", re.IGNORECASE)
_AVERAGE = re.compile(r"[\[(\s_-]*\b(avg|average|averaged|mean)\b[\])]*", re.IGNORECASE)
_NUMBER = re.compile(r"\[0*(\d+)\]")
_DERIVED = re.compile(
    r"\b(log(10)?|lg|ln|abs(olute)?|sqrt|std(ev)?|sd|sigma|err(or)?|rms|noise)\b|\|", re.IGNORECASE
)

#: No AFM's tip carries so much [A]: beside usual currents it is a code for an overflow or no value.
_CODE = 1.0


def is_backward(name: str) -> bool:
    """Whether a channel's name says that it was swept back."""
    return bool(_BACK.search(name.replace("_", " ")))


def is_derived(name: str) -> bool:
    """Whether a name says a logarithm, size or error of a quantity, and not the quantity."""
    return bool(_DERIVED.search(name.replace("_", " ")))


def plain_name(name: str) -> str:
    """A channel's name without its direction."""
    text = name.replace("_", " ")
    return " ".join(_FORWARD.sub(" ", _BACK.sub(" ", text)).split()).lower()


def current_channels(
    asked: Asked, units: Mapping[str, str], *, what: str = "a current in A"
) -> list[tuple[str, str | None]]:
    """Names of the (forward, backward) channels of the curves, a pair for each cycle."""
    wanted = asked.take("current")
    if wanted is not None:
        plain = plain_name(wanted)
        found = [n for n in units if n == wanted] or [n for n in units if plain_name(n) == plain]
        if not found:
            raise DataError(
                f"{asked.path}: current must be one of {_listed(units)}; got {wanted!r}"
            )
        return [_pair(found[0], units)]
    amperes = [n for n, unit in units.items() if unit == "A" and not is_derived(n)]
    # A sweep that was recorded backward only has no forward one.
    forward = [n for n in amperes if not is_backward(n)] or amperes
    named = [n for n in forward if plain_name(n) in ("current", "i")]
    if named:
        return [_pair(named[0], units)]
    numbered = [n for n in forward if _NUMBER.search(n)]
    cycle = asked.take("cycle") if numbered else None
    if cycle is not None:
        if not 0 <= cycle < len(numbered):
            last = len(numbered) - 1
            raise DataError(f"{asked.path}: cycle must be 0 to {last}; got {cycle}")
        return [_pair(numbered[cycle], units)]
    average = [n for n in forward if _AVERAGE.search(n.replace("_", " "))]
    if len(average) == 1:
        if numbered:
            asked.note(f"{average[0]} is used; single sweeps can be had with cycle")
        return [_pair(average[0], units)]
    if numbered and len(numbered) == len(forward):
        asked.note(f"{len(numbered)} sweeps, one after the other in time; one alone with cycle")
        return [_pair(n, units) for n in numbered]
    if len(forward) == 1:
        if plain_name(forward[0]) != "current":
            asked.note(f"{forward[0]} is taken for the current: it is the only channel in A")
        return [_pair(forward[0], units)]
    raise asked.fault(
        f"hold {what}" if not forward else "hold one current in A",
        _listed(units),
        "" if not forward else "Choose one of them: current",
    )


def _listed(units: Mapping[str, str]) -> str:
    return ", ".join(f"{n} [{u or 'no unit'}]" for n, u in units.items()) or "no channel"


def _pair(name: str, units: Mapping[str, str]) -> tuple[str, str | None]:
    alike = [n for n in units if (plain_name(n), units[n]) == (plain_name(name), units[name])]
    back = [n for n in alike if is_backward(n)]
    return (name, back[0]) if back and not is_backward(name) else (name, None)


def joined(
    voltage: FloatArray, sweeps: Sequence[tuple[FloatArray, FloatArray | None]]
) -> tuple[FloatArray, FloatArray]:
    """Voltages (samples,) and currents (n, samples) of sweeps one after the other in time."""
    volts, values = [], []
    for forward, backward in sweeps:
        volts.append(voltage)
        values.append(forward)
        if backward is not None:
            volts.append(voltage[::-1])
            values.append(backward[:, ::-1])
    return np.concatenate(volts), np.concatenate(values, axis=1)


def recording_of(
    asked: Asked,
    scan: Scan,
    sites: IntArray,
    waveform: Waveform,
    current: FloatArray,
    *,
    unit: str = "A",
    metadata: Mapping[str, Any] | None = None,
) -> Recording:
    """The recording, with its rails found and everything noted that was assumed or left out."""
    if unit == "A":
        current = _without_codes(asked, current)
    rail = asked.take("rail")
    saturated = (
        find_rails(current, rail=rail, voltage=waveform.voltage)
        if unit == "A" or rail is not None
        else np.zeros(current.shape, bool)
    )
    if unit == "A" and rail is None and _has_one_size(current):
        asked.note("all currents are 0 or of one size: if the amplifier was at its rail, say rail")
    lost = int((~np.isfinite(current)).any(axis=1).sum())
    if lost:
        asked.note(f"{lost} of {len(current)} curves have samples without a value")
    crop = asked.take("crop_px")
    part = Recording(
        scan=scan,
        sites=sites,
        waveform=waveform,
        current=current,
        saturated=saturated,
        unit=unit,
        metadata={**(metadata or {}), **({"notes": list(asked.notes)} if asked.notes else {})},
    )
    return part if crop is None else cropped_recording(part, crop)


def _without_codes(asked: Asked, current: FloatArray) -> FloatArray:
    """The currents (n, samples) without the numbers that stand for none, such as 9.91e37 or -999."""
    size = np.where(np.isfinite(current), np.abs(current), 0.0)
    usual = float(np.median(size.max(axis=1)))
    codes = (size >= _CODE) & (size > 1e6 * usual)
    if not codes.any():
        return current
    named = ", ".join(f"{v:.6g}" for v in np.unique(current[codes])[:4])
    asked.note(f"{int(codes.sum())} samples hold {named} A, a code and no current: they are lost")
    return np.where(codes, np.nan, current)


def _has_one_size(current: FloatArray) -> bool:
    """Whether there is one size of current, beside zero, as of short circuits at the rail."""
    return all(
        0 < (sizes := np.unique(np.abs(part[np.isfinite(part)]))).size <= 2 and sizes[-1] > 0
        for part in (current[:8], current)
    )


def cropped_recording(data: Recording, crop: Sequence[int]) -> Recording:
    """The curves of a part [row, column, rows, columns] of the scan."""
    scan = cropped(data.scan, crop)
    sites = data.sites - np.array(crop[:2])
    inside = ((sites >= 0) & (sites < scan.shape)).all(axis=1)
    if not inside.any():
        raise DataError(f"crop_px must hold a recorded site; got {list(crop)}")
    return replace(
        data,
        scan=scan,
        sites=sites[inside],
        current=data.current[inside],
        saturated=data.saturated[inside],
    )


def stand_in(asked: Asked, current: FloatArray, unit: str = "A") -> tuple[FloatArray, str]:
    """The image that policies see where none was recorded: the curves at their first sample."""
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(current)
    first = np.where(finite.any(axis=2), finite.argmax(axis=2), 0)
    image = np.take_along_axis(current, first[..., None], axis=2)[..., 0]
    name = "current" if unit == "A" else "response"
    asked.note(f"no image was recorded: policies see the {name} at the first sample instead")
    return image, name


def _with_image(asked: Asked, scan: Scan, channel: str) -> Scan:
    """The scan with another image as the one that policies see."""
    if channel not in scan.channels:
        raise DataError(
            f"{asked.path}: channel must be one of {', '.join(scan.channels)}; got {channel!r}"
        )
    if channel == scan.image_name:
        return scan
    names = {n: "height as recorded" if n == "height" else n for n in scan.channels}
    if scan.units.get(channel) == "m":
        names[channel] = "height"
    order = [channel, *(n for n in scan.channels if n != channel)]
    return replace(
        scan,
        channels={names[n]: scan.channels[n] for n in order},
        units={names[n]: scan.units[n] for n in order if n in scan.units},
    )


def own_export(asked: Asked, data: Scan | Recording) -> Scan | Recording:
    """What Grainscout wrote, unchanged unless an option says another rail, image or part."""
    if not isinstance(data, Recording):
        return chosen_again(asked, data)
    rail, channel, crop = asked.take("rail"), asked.take("channel"), asked.take("crop_px")
    if rail is not None:
        data = replace(data, saturated=find_rails(data.current, rail=rail))
    if channel is not None:
        data = replace(data, scan=_with_image(asked, data.scan, channel))
    return data if crop is None else cropped_recording(data, crop)
