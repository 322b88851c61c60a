"""Igor binary waves (``.ibw``) of Asylum Research: images, force and current-voltage curves.

Values come from igor2.  Labels are read here: igor2 returns whatever an earlier, longer label left
behind the terminating zero of each 32-byte field ("Phase1Retracece").
"""

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats.files import fault, intact, load_bytes, quiet, refuse_namesakes
from grainscout.analysis.formats.grids import Grid, arranged
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, scan_of
from grainscout.records import FloatArray, Recording, Scan, Traces

FRAME = "the scan's own frame: x along the fast axis, y down the picture, (0, 0) its top left pixel"
#: What Asylum's channels are measured in, by the start of their name; the wave stores one unit only.
_UNITS = {
    "Height": "m",
    "ZSensor": "m",
    "ZSnsr": "m",
    "Raw": "m",
    "Amplitude": "m",
    "Deflection": "m",
    "Defl": "m",
    "Phase": "deg",
    "Frequency": "Hz",
    "Current": "A",
    "Curr": "A",
    "Potential": "V",
    "Bias": "V",
    "Volt": "V",
    "UserIn": "V",
    "Lateral": "V",
    "Time": "s",
}


@dataclass(frozen=True, kw_only=True)
class _Wave:
    """values : (n, ...) in Igor's order [x, y, layer];  steps and labels of each dimension."""

    values: FloatArray
    steps: tuple[float, ...]
    labels: tuple[list[str], ...]
    note: dict[str, str]


def asylum_unit(name: str) -> str:
    """The SI unit of an Asylum channel, "" if it is not known."""
    plain = name.removeprefix("Nap")
    return next((u for start, u in _UNITS.items() if plain.startswith(start)), "")


def load_ibw(asked: Asked) -> Scan | Recording:
    """Read an Asylum image, or a single current-voltage curve as a recording of one site."""
    path = asked.path
    wave = _load(path)
    if wave.values.ndim == 2 and wave.labels[1]:
        return _single(asked, _traces(path, wave))
    if wave.values.ndim not in (2, 3):
        raise asked.fault("hold an image or curves", f"a wave of shape {wave.values.shape}")
    layers = wave.values if wave.values.ndim == 3 else wave.values[:, :, None]
    names = wave.labels[2] if wave.values.ndim == 3 else []
    if not names:
        names = [f"layer {i}" for i in range(layers.shape[2])]
    if len(names) != layers.shape[2] or len(set(names)) != len(names):
        raise asked.fault(f"name its {layers.shape[2]} layers", ", ".join(names))
    pictures = [
        Picture(
            name=name,
            values=layers[:, ::-1, i].T,
            unit=asylum_unit(name),
            pixel_size=(wave.steps[1], wave.steps[0]),
        )
        for i, name in enumerate(names)
    ]
    return scan_of(
        asked, pictures, {"source": "Igor binary wave", "frame": FRAME, "note": wave.note}
    )


def read_ibw_traces(path: Path | str) -> Traces:
    """All columns of an Asylum force or current-voltage curve; time starts at 0 s."""
    return _traces(path, _load(path))


def _traces(path: Path | str, wave: _Wave) -> Traces:
    if wave.values.ndim != 2 or len(wave.labels[1]) != wave.values.shape[1]:
        raise fault(
            path, "hold the named columns of a curve", f"a wave of shape {wave.values.shape}"
        )
    names = wave.labels[1]
    refuse_namesakes(path, names)
    return Traces(
        channels={n: wave.values[:, i] for i, n in enumerate(names)},
        units={n: u for n in names if (u := asylum_unit(n))},
        time=np.arange(len(wave.values), dtype=np.float64) * wave.steps[0],
        metadata={"source": "Igor binary wave", "note": wave.note},
    )


def _single(asked: Asked, traces: Traces) -> Scan | Recording:
    voltage = next((n for n in traces.channels if n.startswith(("Bias", "Volt"))), None)
    units = {n: traces.units.get(n, "") for n in traces.channels if n != voltage}
    if voltage is None or "A" not in units.values():
        raise asked.fault(
            "hold an image, or a current over a bias",
            f"{', '.join(traces.channels)}: a force curve or another single trace",
            "Read it with read_traces",
        )
    grids = [
        Grid(
            name=name,
            values=traces.channel(name)[None, None],
            voltage=traces.channel(voltage),
            unit=unit,
            seconds=float(np.ptp(traces.time)),
        )
        for name, unit in units.items()
    ]
    metadata = {**traces.metadata, "channels": dict(traces.channels)}
    return arranged(asked, [], grids, metadata)


def _load(path: Path | str) -> _Wave:
    data = load_bytes(path)
    sizes = _sections(path, data)
    from igor2 import binarywave  # a slow import that most users of this package do not need

    with quiet("igor2"), intact(path, "Igor binary wave"):
        raw: dict[str, Any] = binarywave.load(io.BytesIO(data))["wave"]
        values = np.asarray(raw["wData"])
        steps = tuple(float(s) for s in raw["wave_header"]["sfA"])
        note = bytes(raw["note"])
    if values.dtype.kind not in "iuf" or values.size == 0 or values.ndim > len(steps):
        raise fault(path, "hold real numbers", f"{values.dtype} of shape {values.shape}")
    used = steps[: min(values.ndim, 2)]
    if not all(np.isfinite(s) and s > 0 for s in used):
        raise fault(path, "have positive steps along its axes", f"{used}")
    text = note.decode("utf-8", errors="replace")
    entries = {}
    for line in re.split(r"[\r\n]+", text):
        key, colon, value = line.partition(":")
        if colon and key.strip():
            entries[key.strip()] = value.strip()
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        numbers = values.astype(np.float64)
    return _Wave(values=numbers, steps=steps, labels=tuple(_labels(data, *sizes)), note=entries)


def _sections(path: Path | str, data: bytes) -> tuple[str, int, tuple[int, ...]]:
    """Byte order, start of the labels and their sizes; DataError if the file is too short."""
    for order in "<>":
        if len(data) >= 64 and struct.unpack_from(f"{order}h", data)[0] == 5:
            break
    else:
        raise fault(path, "be an Igor binary wave of version 5", f"it starts with {data[:4]!r}")
    wave, formula, note, extended, *rest = struct.unpack_from(f"{order}15i", data, 4)
    units, labels, indices = rest[:4], rest[4:8], rest[8]
    sizes = [wave, formula, note, extended, *units, *labels, indices]
    if min(sizes) < 0 or wave < 320 or 64 + sum(sizes) > len(data):
        raise fault(
            path,
            f"hold the {64 + sum(sizes)} bytes that its header promises",
            f"{len(data)} bytes",
            "It is truncated or damaged",
        )
    # The data type and the sizes of the dimensions must fit the wave's own size, or igor2 would
    # believe them and ask for any amount of memory.
    points, kind = struct.unpack_from(f"{order}ih", data, 64 + 12)
    dimensions = struct.unpack_from(f"{order}4i", data, 64 + 68)
    item = {2: 4, 4: 8, 8: 1, 16: 2, 32: 4, 72: 1, 80: 2, 96: 4}.get(kind, 0)
    count = 1
    for n in dimensions:
        if n < 0:
            item = 0
        if n <= 0:
            break
        count *= n
    if item == 0 or points != count or points * item > wave - 320:
        raise fault(
            path,
            "have a real number type and sizes that fit its data",
            f"type {kind}, {points} points as {dimensions}, {wave - 320} bytes",
        )
    return order, 64 + wave + formula + note + extended + sum(units), tuple(labels)


def _labels(data: bytes, order: str, start: int, sizes: tuple[int, ...]) -> Iterator[list[str]]:
    """The labels of each dimension, without that of the dimension as a whole."""
    for size in sizes:
        fields = [data[at : at + 32] for at in range(start, start + size, 32)]
        yield [f.split(b"\0")[0].decode("utf-8", errors="replace") for f in fields[1:]]
        start += size
