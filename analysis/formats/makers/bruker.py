"""Images of Bruker NanoScope (``.spm``, ``.000`` and on).

A text header of sections ends with CTRL-Z; each image list says where its integers lie, bottom line
first. A value is integer / 2**bits x Z scale [V] x sensitivity [unit/V] (NanoScope manual, "File
format"; the same in Gwyddion and pySPM).
"""

import re

from grainscout.analysis.formats.files import load_bytes
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, frame, scan_of
from grainscout.analysis.formats.units import si
from grainscout.records import Scan

_SCALE = re.compile(r"V (?:\[(?P<soft>.*?)\] )?\(.*?\) (?P<value>[-+.\deE]+)")
_SENSITIVITY = re.compile(r"V (?P<value>[-+.\deE]+)\s*(?P<unit>\S*)")
FRAME = "x along the columns, y along the rows, as the NanoScope software shows the picture"


def load_bruker(asked: Asked) -> Scan:
    """All images of a NanoScope file; those of the retrace end in " backward"."""
    data = load_bytes(asked.path)
    sections = _sections(asked, data)
    images = [entries for title, entries in sections if title == "Ciao image list"]
    if any(title == "Ciao force image list" for title, _ in sections):
        asked.note("force and ramp curves are left out: export them as text")
    if not images:
        raise asked.fault("hold images ('Ciao image list')", ", ".join(t for t, _ in sections))
    known = {k: v for _, entries in sections for k, v in entries.items() if k.startswith("@Sens.")}
    return scan_of(
        asked,
        [_picture(asked, data, entries, known) for entries in images],
        {
            "source": "Bruker NanoScope",
            "frame": FRAME,
            "header": {t: e for t, e in sections if t in ("File list", "Ciao scan list")},
        },
    )


def _sections(asked: Asked, data: bytes) -> list[tuple[str, dict[str, str]]]:
    head, end, _ = data.partition(b"\x1a")
    text = head.decode("latin-1").replace("~m", "µm")
    if not end or "\\*File list end" not in text:
        raise asked.fault("have a header that ends", f"{len(head)} bytes without an end")
    sections: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        if line.startswith("\\*"):
            sections.append((line[2:].strip(), {}))
        elif line.startswith("\\"):
            numbered = re.match(r"\\@\d:", line)
            key, _, value = line[numbered.end() if numbered else 1 :].partition(":")
            sections[-1][1][key.strip()] = value.strip()
    return sections


def _picture(asked: Asked, data: bytes, entries: dict[str, str], known: dict[str, str]) -> Picture:
    needed = ("Data offset", "Data length", "Samps/line", "Number of lines", "Z scale")
    lacking = [k for k in needed if k not in entries]
    if lacking:
        raise asked.fault(f"have {', '.join(lacking)} for each image", ", ".join(entries))
    offset, length, columns, rows = (int(asked.number(k, entries[k])) for k in needed[:4])
    quoted = re.search(r'"([^"]*)"', entries.get("Image Data", ""))
    name = quoted[1] if quoted else "image"
    name += " backward" if entries.get("Line Direction", "").startswith("Retrace") else ""
    size = length // max(rows * columns, 1)
    if size not in (2, 4):
        raise asked.fault(f"hold 2 or 4 bytes a pixel of {name}", f"{length} bytes")
    scale = _SCALE.match(entries["Z scale"])
    if scale is None:
        raise asked.fault(f"have a Z scale for {name}", repr(entries["Z scale"]))
    factor, unit = asked.number("Z scale", scale["value"]) / 2.0 ** (8 * size), "V"
    sensitivity = _SENSITIVITY.match(known.get(f"@{scale['soft']}", ""))
    if sensitivity is not None:
        factor *= asked.number(scale["soft"], sensitivity["value"])
        unit = sensitivity["unit"].removesuffix("/V") or ("deg" if "Phase" in name else "V")
    elif scale["soft"]:
        asked.note(f"{scale['soft']} of {name} is not in the header: its values are in volts")
    to_si, unit = si(unit)
    values = frame(asked, name, data, offset, f"<i{size}", (rows, columns), upwards=True)
    return Picture(
        name=name,
        values=values * factor * to_si,
        unit=unit,
        pixel_size=_step(asked, entries, rows, columns),
    )


def _step(asked: Asked, entries: dict[str, str], rows: int, columns: int) -> tuple[float, float]:
    """Row step and column step [m] of ``Scan Size: 1000 500 nm`` or ``Scan size: 1 µm``."""
    text = entries.get("Scan Size", entries.get("Scan size", ""))
    match = re.match(r"([-+.\deE]+)(?: ([-+.\deE]+))? (\S+)", text)
    factor, unit = si(match[3]) if match else (1.0, "")
    if match is None or unit != "m":
        raise asked.fault("say its Scan Size in a length", repr(text))
    wide = asked.number("Scan Size", match[1])
    high = asked.number("Scan Size", match[2] or match[1])
    ratio = re.match(r"(\d+):(\d+)", entries.get("Aspect Ratio", ""))
    if ratio and high == wide and int(ratio[1]):  # the header repeats the width
        high *= int(ratio[2]) / int(ratio[1])
    return high * factor / rows, wide * factor / columns
