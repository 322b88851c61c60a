"""Plain images with a stated scale: Gwyddion simple fields (``.gsf``), TIFF and JPK images."""

import re
from typing import Any

import numpy as np

from grainscout.analysis.formats.files import intact, load_bytes, quiet
from grainscout.analysis.formats.makers.park import MAGIC_TAG, load_park
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, scan_of
from grainscout.analysis.formats.units import si
from grainscout.records import Recording, Scan

GSF = b"Gwyddion Simple Field 1.0\n"
#: Tags of JPK (JPKImageSpec 2.0): channel, direction, frame [m] and pixels, calibrations ("slots").
_JPK_CHANNEL, _JPK_BACK = 32848, 32849
_JPK_FRAME = {"u": 32834, "v": 32835, "columns": 32838, "rows": 32839}
_JPK_SLOTS, _JPK_DEFAULT, _JPK_SLOT, _JPK_SLOT_SIZE = 32896, 32897, 32912, 48
_JPK_SCALING, _JPK_FACTOR, _JPK_OFFSET = 19, 20, 21  # within a slot
_JPK_UNITS = {"height": "m", "measuredHeight": "m", "capacitiveSensorHeight": "m"}
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def load_gsf(asked: Asked) -> Scan:
    """Read a Gwyddion simple field: a text header, NUL bytes, and little-endian float32."""
    picture = _field(asked, load_bytes(asked.path))
    return scan_of(asked, [picture], {"source": "Gwyddion simple field"})


def _field(asked: Asked, data: bytes) -> Picture:
    end = data.find(b"\0")
    if not data.startswith(GSF) or end < 0:
        raise asked.fault("be a Gwyddion simple field", repr(data[:26]))
    entries = {}
    for line in data[len(GSF) : end].decode("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if not equals:
            raise asked.fault("have lines 'key = value' in its header", repr(line[:60]))
        entries[key.strip()] = value.strip()
    missing = [key for key in ("XRes", "YRes") if key not in entries]
    if missing:
        raise asked.fault(f"have {', '.join(missing)} in its header", ", ".join(entries))
    columns, rows = int(entries["XRes"]), int(entries["YRes"])
    body = data[end + 4 - end % 4 :]
    if min(rows, columns) < 1 or len(body) != 4 * rows * columns:
        raise asked.fault(f"hold {rows} x {columns} float32", f"{len(body)} bytes", "It is damaged")
    factor, unit = si(entries.get("XYUnits", ""))
    z_factor, z_unit = si(entries.get("ZUnits", ""))
    sizes = [asked.number(k, entries[k]) * factor for k in ("XReal", "YReal") if k in entries]
    step = (sizes[1] / rows, sizes[0] / columns) if len(sizes) == 2 and unit == "m" else None
    x, y = (
        asked.number(k, entries[k]) * factor if k in entries else 0.0
        for k in ("XOffset", "YOffset")
    )
    return Picture(
        name=entries.get("Title") or "height",
        values=np.frombuffer(body, "<f4").reshape(rows, columns).astype(np.float64) * z_factor,
        unit=z_unit,
        pixel_size=step,
        origin=(0.0, 0.0) if step is None else (x + step[1] / 2, y + step[0] / 2),
    )


def load_tiff(asked: Asked) -> Scan | Recording:
    """Pages of a TIFF, JPK or Park file, with the scale of ImageJ or OME, not dots an inch."""
    import tifffile

    path = asked.path
    with (
        quiet("tifffile"),
        intact(path, "TIFF", tifffile.TiffFileError),
        tifffile.TiffFile(path) as file,
    ):
        second: Any = file.pages[1] if len(file.pages) > 1 else None
        if second is not None and _JPK_CHANNEL in second.tags:
            return scan_of(asked, _jpk_pictures(asked, file), {"source": "JPK image"})
        first: Any = file.pages[0]
        if MAGIC_TAG in first.tags:
            return load_park(asked, file)
        step = _scale(file)
        pictures = []
        for k, page in enumerate(file.pages):
            values = np.asarray(page.asarray())
            if values.ndim != 2 or values.dtype.kind not in "biuf":
                asked.note(f"page {k} is no picture of one number a pixel: left out")
                continue
            name = "height" if k == 0 else f"page {k}"
            pictures.append(Picture(name=name, values=values.astype(np.float64), pixel_size=step))
        if not pictures:
            raise asked.fault("hold a picture of one number a pixel", f"{len(file.pages)} others")
        return scan_of(asked, pictures, {"source": "TIFF"})


def _scale(file: Any) -> tuple[float, float] | None:
    """Row step and column step [m] that ImageJ or OME wrote; None if neither did."""
    page = file.pages[0]
    if file.is_imagej:
        factor, unit = si(str((file.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ"))
        tags = [page.tags.get(name) for name in ("YResolution", "XResolution")]
        if unit == "m" and all(tags):
            steps = [factor * t.value[1] / t.value[0] for t in tags if t.value[0]]
            return (steps[0], steps[1]) if len(steps) == 2 else None
    if file.is_ome:
        found = []
        for axis in "YX":
            size = re.search(rf'PhysicalSize{axis}="([^"]+)"', file.ome_metadata)
            named = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', file.ome_metadata)
            factor, unit = si(named[1] if named else "µm")
            if size and unit == "m":
                found.append(float(size[1]) * factor)
        return (found[0], found[1]) if len(found) == 2 else None
    return None


def _jpk_pictures(asked: Asked, file: Any) -> list[Picture]:
    """The channels of a JPK image in the calibration that its software shows; page 0 is a thumbnail."""
    frame = {k: float(file.pages[0].tags[tag].value) for k, tag in _JPK_FRAME.items()}
    step = (frame["v"] / frame["rows"], frame["u"] / frame["columns"])
    pictures = []
    for page in file.pages[1:]:
        name = str(page.tags[_JPK_CHANNEL].value)
        back = bool(page.tags[_JPK_BACK].value)
        factor, offset = _jpk_calibration(asked, page)
        # Lines run up the picture.
        values = np.asarray(page.asarray(), np.float64)[::-1] * factor + offset
        pictures.append(
            Picture(
                name=f"{name} retrace" if back else name,
                values=values,
                unit=_JPK_UNITS.get(name, ""),
                pixel_size=step,
            )
        )
    return pictures


def _jpk_calibration(asked: Asked, page: Any) -> tuple[float, float]:
    """Factor and offset of the calibration that is shown."""
    shown = page.tags[_JPK_DEFAULT].value
    for slot in range(int(page.tags[_JPK_SLOTS].value)):
        first = _JPK_SLOT + slot * _JPK_SLOT_SIZE
        if page.tags[first].value != shown:
            continue
        kind = page.tags[first + _JPK_SCALING].value
        if kind == "NullScaling":
            return 1.0, 0.0
        if kind == "LinearScaling":
            factor, offset = (page.tags[first + k].value for k in (_JPK_FACTOR, _JPK_OFFSET))
            return float(factor), float(offset)
        raise asked.fault("have a linear calibration", repr(kind))
    raise asked.fault(f"have the calibration {shown!r}", "none of that name")
