"""Images of Nanosurf (``.nid``): INI sections up to ``#!``, then integers, bottom line first.

A channel's value is (integer / 2**bits + 1/2) x range + minimum (Nanosurf, "NID file format"; the same
in Gwyddion and NSFopen).
"""

from grainscout.analysis.formats.files import load_bytes
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, frame, scan_of
from grainscout.analysis.formats.units import si
from grainscout.records import FloatArray, Scan

_FRAMES = {"Scan forward": "", "Scan backward": " backward"}
FRAME = "x along the columns, y along the rows, as the Nanosurf software shows the picture"


def load_nid(asked: Asked) -> Scan:
    """All images of a Nanosurf file; spectra are left out."""
    data = load_bytes(asked.path)
    end = data.find(b"\n#!")
    if end < 0:
        raise asked.fault("have '#!' before its data", f"{len(data)} bytes without", "")
    sections: dict[str, dict[str, str]] = {}
    title = ""
    try:
        text = data[:end].decode("utf-8")
    except UnicodeDecodeError:  # versions of before
        text = data[:end].decode("latin-1")
    for line in text.splitlines():
        if line.startswith("["):
            title = line.strip()[1:-1]
            sections[title] = {}
        elif "=" in line and title:
            key, _, value = line.partition("=")
            sections[title][key] = value.strip()
    groups = sections.get("DataSet", {})
    names = [v for k, v in groups.items() if k.startswith("Gr") and "-Ch" in k and v in sections]
    at, pictures, left = end + 3, [], []
    for key in names:
        entries = sections[key]
        columns, rows, bits = (
            int(asked.number(k, entries.get(k, ""))) for k in ("Points", "Lines", "SaveBits")
        )
        kind = f"<{'i' if entries.get('SaveSign', 'Signed') == 'Signed' else 'u'}{bits // 8}"
        if bits not in (8, 16, 32):
            raise asked.fault("hold 8, 16 or 32 bits a pixel", f"{bits}")
        shown = entries.get("Frame", "")
        if shown not in _FRAMES:
            left.append(f"{entries.get('Dim2Name', key)} of {shown!r}")
        else:
            name = entries.get("Dim2Name", key) + _FRAMES[shown]
            raw = frame(asked, name, data, at, kind, (rows, columns), upwards=True)
            pictures.append(_scaled(asked, name, raw / 2.0**bits, entries, signed=kind[1] == "i"))
        at += rows * columns * bits // 8
    if left:
        asked.note(f"not images, and left out: {', '.join(left)}")
    if not pictures:
        raise asked.fault("hold an image ('Scan forward')", ", ".join(left) or "no channel")
    info = sections.get("DataSet-Info", {})
    return scan_of(asked, pictures, {"source": "Nanosurf", "frame": FRAME, "header": info})


def _scaled(
    asked: Asked, name: str, share: FloatArray, entries: dict[str, str], *, signed: bool
) -> Picture:
    def axis(k: int) -> tuple[float, float, str]:
        factor, unit = si(entries.get(f"Dim{k}Unit", ""))
        keys = (f"Dim{k}Range", f"Dim{k}Min")
        span, low = (asked.number(key, entries.get(key, "")) * factor for key in keys)
        return span, low, unit

    wide, left, x_unit = axis(0)
    high, top, y_unit = axis(1)
    span, low, unit = axis(2)
    rows, columns = share.shape
    sized = x_unit == y_unit == "m"
    step = (high / rows, wide / columns)
    return Picture(
        name=name,
        values=(share + (0.5 if signed else 0.0)) * span + low,
        unit=unit,
        pixel_size=step if sized else None,
        # Nanosurf's Y points up: the top line is at its largest.
        origin=(left + step[1] / 2, -(top + high) + step[0] / 2) if sized else (0.0, 0.0),
    )
