"""Images of Createc (``.dat``): a text header of 16384 bytes and numbers of the converters.

Lengths are in the header. Only the height has a scale that all versions agree on: other channels are
in units of the converter (Createc STMAFM manual; the same layout in Gwyddion's and Createc's readers).
"""

import zlib

from grainscout.analysis.formats.files import load_bytes
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.pictures import Picture, frame, scan_of
from grainscout.records import Scan

_HEADER = 16384
#: Bytes of a number, unused bytes before the first, and whether they are packed.
_VERSIONS = {
    b"[Parameter]": ("<i2", 2, False),
    b"[Paramet32]": ("<f4", 4, False),
    b"[Paramco32]": ("<f4", 4, True),
}


def load_createc(asked: Asked) -> Scan:
    """The height of a Createc image, and its other channels in units of the converter."""
    data = load_bytes(asked.path)
    version = _VERSIONS.get(data[:11])
    if version is None:
        raise asked.fault(
            "be a Createc image", repr(data[:11]), "Spectra (.vert) have no scale: not read"
        )
    kind, skip, packed = version
    header: dict[str, str] = {}
    for line in data[:_HEADER].decode("cp1252", errors="replace").splitlines():
        keys, _, value = line.partition("=")
        header |= {key.strip().lower(): value.strip() for key in keys.split(" / ")}
    columns, rows, channels = (
        int(asked.number(k, header.get(k, ""))) for k in ("num.x", "num.y", "channels")
    )
    body = data[_HEADER:]
    if packed:
        stream = zlib.decompressobj()
        # No more than the header promises, whatever the stream would grow to.
        body = stream.decompress(body, 4 + 4 * max(rows * columns * channels, 0))
    sizes = [asked.number(k, header.get(k, "")) * 1e-10 for k in ("length y[a]", "length x[a]")]
    step = (sizes[0] / max(rows, 1), sizes[1] / max(columns, 1))
    z = asked.number("dacto[a]z", header.get("dacto[a]z", ""))
    pictures = []
    for k in range(channels):
        at = skip + k * rows * columns * int(kind[2])
        name = "height" if k == 0 else f"channel {k} (converter)"
        values = frame(asked, name, body, at, kind, (rows, columns))
        if k == 0:
            values = values * z * 1e-10
        pictures.append(Picture(name=name, values=values, unit="" if k else "m", pixel_size=step))
    if channels > 1:
        asked.note("channels other than the height are in units of the converter")
    return scan_of(asked, pictures, {"source": "Createc", "header": header})
