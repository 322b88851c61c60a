"""Park Systems images and spectra: TIFF with private tags (tifffile finds them).

Headers are packed, little endian (pspylib of Park Systems; the same in Gwyddion). Lines run up the
picture. A value is gain x (integer x scale + offset).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from grainscout.analysis.formats.grids import Grid, arranged
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, frame, scan_of
from grainscout.analysis.formats.units import si
from grainscout.records import FloatArray, Recording, Scan

MAGIC_TAG, _DATA, _HEADER, _SPECTRA, _CURVES = 50432, 50434, 50435, 50438, 50439
_TYPES = ("<i2", "<i4", "<f4")
_SPECTROSCOPY = 2
FRAME = "x along the columns, y along the rows, as Park's software shows the picture"
_IMAGE = np.dtype(
    [
        *(("category", "<i4"), ("name", "S64"), ("mode", "S16"), ("low_pass", "<f8")),
        *(("flatten", "<i4"), ("ac_track", "<i4"), ("columns", "<i4"), ("rows", "<i4")),
        *(("angle", "<f8"), ("sine", "<i4"), ("overscan", "<f8"), ("forward", "<i4")),
        *(("up", "<i4"), ("swapped", "<i4"), ("wide", "<f8"), ("high", "<f8")),
        *(("x", "<f8"), ("y", "<f8"), ("rate", "<f8"), ("setpoint", "<f8")),
        *(("setpoint_unit", "S16"), ("tip_bias", "<f8"), ("sample_bias", "<f8")),
        *(("gain", "<f8"), ("scale", "<f8"), ("offset", "<f8"), ("unit", "S16")),
        *(("minimum", "<i4"), ("maximum", "<i4"), ("mean", "<i4"), ("packed", "<i4")),
        *(("log", "<i4"), ("squared", "<i4"), ("z_gain", "<f8"), ("z_range", "<f8")),
        *(("xy_mode", "S16"), ("z_mode", "S16"), ("servo_mode", "S16"), ("kind", "<i4")),
    ]
)
_CHANNEL = np.dtype(
    [("name", "S64"), ("unit", "S16"), ("gain", "<f8"), ("is_x", "<i4"), ("is_y", "<i4")]
)
_SWEEP = np.dtype(
    [
        *(("channel", _CHANNEL, 8), ("channels", "<i4"), ("average", "<i4"), ("samples", "<i4")),
        *(("points", "<i4"), ("driving", "<i4"), ("forward_s", "<f4"), ("backward_s", "<f4")),
        *(("speeds", "<f4", 2), ("grid", "<i4"), ("offset", "<f8", 8), ("log", "<i4", 8)),
        *(("squared", "<i4", 8), ("grid_columns", "<i4"), ("has_image", "<i4")),
        *(("grid_box", "<f8", 4), ("force", "<f8", 2), ("limit", "<f4", 2), ("volts", "<f4", 4)),
        *(("delay", "<f4"), ("z_servo", "<i4"), ("source_gain", "<f8"), ("source_unit", "S16")),
        *(("extended", "<i4"), ("type", "<i4"), ("light", "<f4", 8), ("thermal", "<f4", 5)),
        *(("kind", "<i4"), ("setpoint", "<f4", 2), ("spare", "<i4", 22)),
    ]
)


def load_park(asked: Asked, file: Any) -> Scan | Recording:
    """The image of a Park file, or its spectra over a voltage."""
    blocks: dict[int, bytes] = {}
    for code in (_DATA, _HEADER, _SPECTRA, _CURVES):
        tag = file.pages[0].tags.get(code)
        if tag is not None:
            file.filehandle.seek(tag.valueoffset)
            blocks[code] = file.filehandle.read(tag.valuebytecount)
    header = _record(asked, blocks.get(_HEADER, b""), _IMAGE)
    metadata = {"source": "Park", "frame": FRAME}
    if int(header["category"]) == _SPECTROSCOPY:
        return _spectra(asked, blocks, metadata)
    name = _text(header["name"])
    values = _values(asked, name, header, blocks.get(_DATA, b""))
    factor, unit = si(_text(header["unit"]))
    step = (
        float(header["high"]) * 1e-6 / len(values),
        float(header["wide"]) * 1e-6 / values.shape[1],
    )
    picture = Picture(name=name, values=values * factor, unit=unit, pixel_size=step)
    return scan_of(asked, [picture], metadata)


def _record(asked: Asked, block: bytes, kind: np.dtype[Any]) -> Any:
    if len(block) < kind.itemsize:
        raise asked.fault(f"have a header of {kind.itemsize} bytes", f"{len(block)}")
    return np.frombuffer(block, kind, 1)[0]


def _text(value: bytes) -> str:
    return value.ljust(len(value) + len(value) % 2, b"\0").decode("utf-16-le").split("\0")[0]


def _values(asked: Asked, name: str, header: Any, block: bytes) -> FloatArray:
    if header["log"] or header["squared"] or not 0 <= header["kind"] < len(_TYPES):
        raise asked.fault("hold linear numbers", "logarithms, squares or an unknown type")
    shape = (int(header["rows"]), int(header["columns"]))
    raw = frame(asked, name, block, 0, _TYPES[header["kind"]], shape, upwards=True)
    scale = float(header["scale"]) or 1.0
    return np.asarray((raw * scale + float(header["offset"])) * float(header["gain"]))


def _spectra(
    asked: Asked, blocks: Mapping[int, bytes], metadata: dict[str, Any]
) -> Scan | Recording:
    """Curves at their points; a reference image is left out, as its frame is not written down."""
    head = _record(asked, blocks.get(_SPECTRA, b""), _SWEEP)
    points, channels, samples = (int(head[k]) for k in ("points", "channels", "samples"))
    kind = np.dtype(_TYPES[head["kind"]] if 0 <= head["kind"] < len(_TYPES) else "<i2")
    block, place = blocks.get(_CURVES, b""), blocks[_SPECTRA][_SWEEP.itemsize :]
    size = points * channels * samples * kind.itemsize
    if (
        min(points, channels, samples) < 1
        or channels > 8
        or len(block) < size
        or len(place) < 12 * points
    ):
        raise asked.fault(
            f"hold {points} curves of {channels} channels and {samples} samples",
            f"{len(block)} bytes",
        )
    raw = np.frombuffer(block[:size], kind).reshape(points, channels, samples)
    where = np.frombuffer(place[: 12 * points], "<f4").reshape(points, 3)[:, :2] * [1e-6, -1e-6]
    units = [si(_text(c["unit"])) for c in head["channel"][:channels]]
    driving = int(head["driving"])
    if not 0 <= driving < channels or units[driving][1] != "V":
        found = ", ".join(_text(c["name"]) for c in head["channel"][:channels])
        raise asked.fault("hold spectra driven by a voltage in V", f"{found}, driven by {driving}")
    if head["offset"][:channels].any() or head["has_image"]:
        asked.note("offsets of the channels are not applied, and the reference image is left out")
    scaled = {
        k: raw[:, k].astype(np.float64) * float(head["channel"][k]["gain"]) * units[k][0]
        for k in range(channels)
    }
    seconds = float(head["forward_s"] + head["backward_s"])
    grids = [
        Grid(
            name=_text(head["channel"][k]["name"]),
            values=curves[:, None],
            voltage=scaled[driving].mean(axis=0),
            unit=units[k][1],
            seconds=seconds or None,
        )
        for k, curves in scaled.items()
        if k != driving
    ]
    frame_of = {**metadata, "frame": "x = X, y = -Y of the instrument"}
    return arranged(asked, [], grids, frame_of, positions=where)
