"""Files of WSxM (Nanotec): images (``.stp``, ``.top``) and curves (``.cur``).

A text header up to ``[Header end]``; then an image from its bottom right corner to the left, or lines
of x and y for each curve (nanotec.es, "WSxM file structure"; spmimages.ftmc.uam.es, "File
specifications").
"""

import re

import numpy as np

from grainscout.analysis.formats.files import load_bytes
from grainscout.analysis.formats.grids import Grid, arranged
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, frame, scan_of
from grainscout.analysis.formats.units import si
from grainscout.records import Recording, Scan

_END = b"[Header end]"
_KINDS = {"": "<i2", "short": "<i2", "integer": "<i2", "float": "<f4", "double": "<f8"}


def load_wsxm(asked: Asked) -> Scan | Recording:
    """The image or the current-voltage curve of a WSxM file."""
    data = load_bytes(asked.path)
    end = data.find(_END)
    if end < 0:
        raise asked.fault("have a header up to [Header end]", f"{len(data)} bytes without")
    lines = data[:end].decode("latin-1").splitlines()
    header = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines[2:])}
    body = data[end + len(_END) :].removeprefix(b"\r").removeprefix(b"\n")
    kind = lines[1].strip() if len(lines) > 1 else ""
    metadata = {"source": "WSxM", "header": header}
    if "Image file" in kind:
        return scan_of(asked, [_image(asked, header, body)], metadata)
    if "curve file" in kind:
        return arranged(asked, [], _curves(asked, header, body), metadata)
    raise asked.fault("be an image or a curve of WSxM", repr(kind), "Save it as .stp or .cur")


def _quantity(asked: Asked, header: dict[str, str], key: str) -> tuple[float, str]:
    """A value of the header in SI, and its unit."""
    match = re.match(r"([-+.\deE]+)\s*(.*)", header.get(key, ""))
    if match is None:
        raise asked.fault(f"have a number at {key!r}", repr(header.get(key, "nothing")))
    factor, unit = si(match[2])
    return asked.number(key, match[1]) * factor, unit


def _image(asked: Asked, header: dict[str, str], body: bytes) -> Picture:
    rows, columns = (
        int(asked.number(k, header.get(k, ""))) for k in ("Number of rows", "Number of columns")
    )
    stored = header.get("Image Data Type", "")
    if stored not in _KINDS:
        raise asked.fault(f"hold numbers of {', '.join(_KINDS)[2:]}", repr(stored))
    name = header.get("Acquisition channel", "Topography")
    values = frame(asked, name, body, 0, _KINDS[stored], (rows, columns), upwards=True)[:, ::-1]
    range_, unit = _quantity(asked, header, "Z Amplitude")
    spread = float(np.nanmax(values) - np.nanmin(values))
    (wide, x_unit), (high, y_unit) = (
        _quantity(asked, header, f"{letter} Amplitude") for letter in "XY"
    )
    return Picture(
        name=name,
        values=values * (range_ / spread if spread else 1.0),
        unit="" if unit == "a.u." else unit,
        pixel_size=(high / rows, wide / columns) if x_unit == y_unit == "m" else None,
    )


def _curves(asked: Asked, header: dict[str, str], body: bytes) -> list[Grid]:
    """Each pair of columns is a sweep; the second is the way back, in the order of the file."""
    (x, x_unit), (y, y_unit) = (si(header.get(f"{letter} axis unit", "")) for letter in "XY")
    if x_unit != "V":
        raise asked.fault("be a curve over a voltage in V", f"{header.get('X axis text', 'none')}")
    table = np.array([line.split() for line in body.decode("latin-1").splitlines() if line.strip()])
    table = table.astype(np.float64)
    if table.ndim != 2 or table.shape[1] % 2:
        raise asked.fault("hold pairs of x and y", f"a table of {table.shape}")
    name = re.sub(r"\s*\[.*", "", header.get("Y axis text", "curve")) or "curve"
    return [
        Grid(
            name=name + ("" if k == 0 else " backward" if k == 1 else f" [{k}]"),
            values=table[:, 2 * k + 1].reshape(1, 1, -1) * y,
            voltage=table[:, 2 * k] * x,
            unit=y_unit,
        )
        for k in range(table.shape[1] // 2)
    ]
