"""Files of makers, written here byte by byte from their published layouts; lines in the file's order."""

from __future__ import annotations

import struct
import zlib

import numpy as np

ROWS, COLUMNS = 4, 6
#: Top line first, in units of the file's integers: no mirror or turn maps it on itself.
RAW = np.arange(ROWS)[:, None] ** 2 * 100 + np.arange(COLUMNS)[None] * 7 - 300
VOLTS = np.linspace(-1.0, 1.0, 5)


def bruker(path, bits=16, *, size="3 2 ~m", direction="Trace"):
    """Z scale of 2 V and 16 nm/V on `bits` bits: 32 nm over the range; a current of 10 nA/V."""
    body = b"".join(np.flipud(RAW * k).astype(f"<i{bits // 8}").tobytes() for k in (1, 2))
    length = len(body) // 2
    image = [
        r"\*Ciao image list",
        r"\Data offset: {at}",
        rf"\Data length: {length}",
        rf"\Bytes/pixel: {bits // 8}",
        rf"\Samps/line: {COLUMNS}",
        rf"\Number of lines: {ROWS}",
        r"\Aspect Ratio: 1:1",
        rf"\Scan Size: {size}",
        r"\Line Direction: {direction}",
        r'\@2:Image Data: S [{name}] "{name}"',
        r"\@2:Z scale: V [Sens. {soft}] (0.0001 V/LSB) 2.0 V",
        r"\@2:Z offset: V [Sens. {soft}] (0.0001 V/LSB) 0 V",
    ]
    head = [r"\*File list", r"\Version: 0x09700000", r"\*Scanner list"]
    head += [r"\@Sens. Zsens: V 16 nm/V", r"\@Sens. Current: V 10 nA/V"]
    for k, (name, soft) in enumerate((("Height", "Zsens"), ("Current", "Current"))):
        fields = {"at": 4096 + k * length, "name": name, "soft": soft, "direction": direction}
        head += [line.format(**fields) for line in image]
    text = "\r\n".join([*head, r"\*File list end", "\x1a"]).encode("latin-1")
    path.write_bytes(text.ljust(4096, b"\0") + body)
    return path


def nid(path):
    """A height of 65.536 nm over 16 bits from -32.768 nm, forward and backward, 3 x 2 um."""
    keys = ["[DataSet]", "GroupCount=2", "Gr0-Name=Scan forward", "Gr0-Count=1"]
    keys += [
        "Gr1-Name=Scan backward",
        "Gr1-Count=1",
        "Gr0-Ch0=DataSet-0:0",
        "Gr1-Ch0=DataSet-1:0",
        "",
    ]
    keys += ["[DataSet-Info]", "-- Scan --=--", "Date=01-01-2026", ""]
    for k, shown in enumerate(("Scan forward", "Scan backward")):
        keys += [f"[DataSet-{k}:0]", f"Frame={shown}", f"Points={COLUMNS}", f"Lines={ROWS}"]
        keys += ["SaveBits=16", "SaveSign=Signed", "Dim0Name=X*", "Dim0Unit=m", "Dim0Range=3e-6"]
        keys += ["Dim0Min=1e-6", "Dim1Name=Y*", "Dim1Unit=m", "Dim1Range=2e-6", "Dim1Min=0"]
        keys += ["Dim2Name=Z-Axis", "Dim2Unit=m", "Dim2Range=6.5536e-8", "Dim2Min=-3.2768e-8", ""]
    body = b"".join(np.flipud(RAW + k).astype("<i2").tobytes() for k in (0, 1))
    path.write_bytes("\r\n".join(keys).encode() + b"\r\n\r\n#!" + body)
    return path


def createc(path):
    """A height of 0.1 A a step and a second channel in converter units, 60 x 40 A."""
    keys = ["[Paramco32]", "Num.X / Num.X=6", "Num.Y / Num.Y=4", "Channels / Channels=2"]
    keys += ["Length x[A]=60", "Length y[A]=40", "Dacto[A]z=0.1", "DAC-Type=20bit"]
    body = np.concatenate([[0.0], RAW.ravel(), RAW.ravel() * 2]).astype("<f4").tobytes()
    path.write_bytes("\r\n".join(keys).encode().ljust(16384) + zlib.compress(body))
    return path


def wsxm_image(path, kind="double", high=40):
    """60 x 40 nm; Z Amplitude of 9.35 nm for the spread of 935 in the file."""
    code = {"double": "<f8", "short": "<i2", "float": "<f4"}[kind]
    keys = ["WSxM file copyright UAM", "SxM Image file", "Image header size: 0", "[Control]"]
    keys += ["    X Amplitude: 60 nm", f"    Y Amplitude: {high} nm", "[General Info]"]
    keys += ["    Acquisition channel: Topography", f"    Image Data Type: {kind}"]
    keys += [f"    Number of columns: {COLUMNS}", f"    Number of rows: {ROWS}"]
    keys += ["    Z Amplitude: 9.35 nm", "[Header end]", ""]
    head = "\r\n".join(keys).encode("latin-1")
    head = head.replace(b"size: 0", b"size: %d" % (len(head) + len(str(len(head))) - 1))
    path.write_bytes(head + np.flip(RAW).astype(code).tobytes())
    return path


def wsxm_curve(path, current):
    """Forth and back in nA; the way back in the order of the forth."""
    keys = ["WSxM file copyright UAM", "IV curve file", "Image header size: 0", "[General Info]"]
    keys += [
        "    Number of lines: 2",
        f"    Number of points: {VOLTS.size}",
        "    X axis text: V[#x]",
    ]
    keys += ["    X axis unit: V", "    Y axis text: I[#y]", "    Y axis unit: nA", "[Header end]"]
    forth, back = np.split(current * 1e9, 2)
    table = np.column_stack([VOLTS, forth, VOLTS, back[::-1]])
    lines = [" ".join(f"{v:.9g}" for v in row) for row in table]
    path.write_text("\r\n".join([*keys, *lines, ""]), encoding="latin-1", newline="")
    return path


def _wide(text, count):
    return text.encode("utf-16-le").ljust(2 * count, b"\0")


def _park_header(category):
    fields = struct.pack("<i", category) + _wide("Z Height", 32) + _wide("C-AFM", 8)
    fields += struct.pack("<d4id i d 3i", 0, 0, 0, COLUMNS, ROWS, 0, 0, 0, 1, 1, 0)
    fields += struct.pack("<6d", 3.0, 2.0, 0, 0, 1, 0) + _wide("V", 8)
    fields += struct.pack("<5d", 0, 0, 0.0001, 1.0, 0.0) + _wide("um", 8)
    fields += struct.pack("<6i2d", 0, 0, 0, 0, 0, 0, 1, 1) + _wide("", 24)
    return (fields + struct.pack("<i", 1)).ljust(580, b"\0")


def park(path, curves=None):
    """0.1 nm a step on 3 x 2 um; or current-voltage curves (n, samples) [A] on a grid of 1 um."""
    import tifffile

    tags = [(50432, "I", 1, 0x0E031301, True), (50433, "I", 1, 0x01000002, True)]
    header = _park_header(0 if curves is None else 2)
    data = np.flipud(RAW).astype("<i4").tobytes()
    blocks = {50434: data, 50435: header}
    if curves is not None:
        places = np.array([[k % 2, k // 2, 0] for k in range(len(curves))], "<f4")
        volts = np.tile(np.concatenate([VOLTS, VOLTS[::-1]]), (len(curves), 1))
        both = np.stack([volts / 0.5, curves * 1e9 / 0.25], axis=1).astype("<f4")
        blocks |= {50438: _park_sweep(curves) + places.tobytes(), 50439: both.tobytes()}
    tags += [(code, "B", len(value), value, True) for code, value in blocks.items()]
    tifffile.imwrite(path, np.zeros((2, 2), np.uint8), extratags=tags, photometric="minisblack")
    return path


def _park_sweep(curves):
    channels = b""
    for name, unit, gain in (("Bias", "V", 0.5), ("Current", "nA", 0.25)):
        channels += _wide(name, 32) + _wide(unit, 8) + struct.pack("<d2i", gain, 0, 0)
    head = channels.ljust(8 * 96, b"\0")
    head += struct.pack("<5i4fi", 2, 1, curves.shape[1], len(curves), 0, 0.2, 0.3, 1, 1, 1)
    head += struct.pack("<8d16i2i", *[0] * 24, 2, 0) + struct.pack("<4d2d2f4ffid", *[0] * 15)
    head += (
        _wide("V", 8)
        + struct.pack("<2i13f", 0, 3, *[0] * 13)
        + struct.pack("<i2f22i", 2, *[0] * 24)
    )
    return head


def sm4(path, curves, places, name="Current"):
    """An image (x scale falls: columns run left) and current-voltage curves (n, samples) [A]."""
    common = {5: "11/30/26", 6: "12:00:00", 13: "0", 14: "0", 18: "CH1 Drive value 0 V"}
    text = (
        {0: "Topography", 7: "m", 8: "m", 9: "m", **common},
        {0: name, 7: "V", 9: "A", **common},
    )
    image = RAW[::-1, ::-1].astype("<i4").tobytes()  # y rises with the line, x falls
    lines = np.round(curves / 1e-12).astype("<i4").tobytes()
    table = np.zeros((len(places), 7), "<f4")
    table[:, 1:3] = places * [1, -1]
    pages = [
        (0, 0, ROWS, COLUMNS, (-5e-9, 1e-8, 1e-10), (1e-7, 2e-7, 0.0), image, b""),
        (1, 7, *curves.shape, (0.5, 1.0, 1e-12), (-1.0, 0.0, 0.0), lines, table.tobytes()),
    ]
    size = 58 + 12 + 16 + 12 + 2 * (32 + 24)
    heads, blobs = b"", b""
    for k, (kind, line, rows, columns, scale, offset, data, places_) in enumerate(pages):
        at = size + len(blobs)
        strings = b""
        for i in range(19):
            word = text[k].get(i, "")
            strings += struct.pack("<H", len(word)) + word.encode("utf-16-le")
        header = struct.pack(
            "<2H3I2i6I2i", 180, 19, 1, 0, line, 0, 0, columns, rows, 0, 0, 0, len(data), 0, 0
        )
        header += struct.pack("<11f", *scale, 1.0, *offset, 0.01, 0, 0, 0) + struct.pack(
            "<4I", 0, 0, 0, 2
        )
        header = header.ljust(180, b"\0")
        inner = at + 180 + 24
        header += struct.pack("<6I", 10, inner, len(strings), 8, inner + len(strings), len(places_))
        blob = header + strings + places_
        heads += bytes(16) + struct.pack("<4I", kind, 0, 2, 2)
        heads += struct.pack("<6I", 3, at, 180, 4, at + len(blob), len(data))
        blobs += blob + data
    front = struct.pack("<H", 56) + "STiMage 005.004 1\0".encode("utf-16-le")
    front += struct.pack("<5I", 2, 1, 12, 0, 0) + struct.pack("<3I", 1, 70, 16)
    front += struct.pack("<4I", 2, 1, 0, 0) + struct.pack("<3I", 2, 98, len(heads))
    path.write_bytes(front + heads + blobs)
    return path


def asd(path, bits=12):
    """Two frames of 0.1 nm a level over 60 x 20 nm, after a header of version 1."""
    head = struct.pack("<6i", 1, 0, 32, 932, 4, 6) + _wide("TP", 2) + _wide("ER", 2)
    head += struct.pack("<8i", 2, 2, 0, 7, COLUMNS, ROWS, 60, 20)
    head += struct.pack("<?9i", False, 1, 2026, 1, 2, 3, 4, 5, 1, 1)
    head += struct.pack("<3fi12xiIi", 1e3, 1.0, 1.0, 0, 9, 0x40000, bits)
    head += struct.pack("<6f", 1e3, 1e3, 1.0, 1.0, 20.48, 2.0) + b"user" + b"remark"
    frame = struct.pack("<i4h2f?bh2i", 0, 0, 0, 0, 0, 0, 0, False, 0, 0, 0, 0)
    both = [frame + (RAW + k).astype("<i2").tobytes() for k in (0, 10)]
    path.write_bytes(head + b"".join(both) * 2)
    return path


def _text(text):
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def matrix(folder):
    """Height up, forth and back, 1 pm an integer, 60 x 40 nm turned by 90 degrees."""
    values = {"X_Retrace": True, "Y_Retrace": False, "Points": COLUMNS, "Lines": ROWS}
    values |= {"Width": 6e-8, "Height": 4e-8, "X_Offset": 1e-7, "Y_Offset": 0.0, "Angle": 90}
    kinds = {bool: ("LOOB", "<I"), int: ("GNOL", "<i"), float: ("BUOD", "<d")}
    scanner = _text("XYScanner") + struct.pack("<I", len(values))
    for key, value in values.items():
        name, code = kinds[type(value)]
        scanner += _text(key) + _text("") + bytes(4) + name.encode() + struct.pack(code, value)
    names = (
        struct.pack("<I", 1)
        + bytes(4)
        + struct.pack("<I", 1)
        + bytes(8)
        + _text("Z")
        + _text("Meter")
    )
    channels = bytes(8) + struct.pack("<I", 0) + names + struct.pack("<I", 0)
    factor = _text("Factor") + b"BUOD" + struct.pack("<d", 1e12)
    offset = _text("Offset") + b"GNOL" + struct.pack("<i", 0)
    transfer = bytes(4) + struct.pack("<I", 1) + _text("TFF_Linear1D") + _text("Meter")
    transfer += struct.pack("<I", 2) + factor + offset

    def block(kind, body, plus=8):
        return kind + struct.pack("<I", len(body)) + bytes(plus) + body

    inner = block(b"TCID", channels, 0) + block(b"REFX", transfer, 0)
    head = block(b"APEE", bytes(4) + struct.pack("<I", 1) + scanner) + block(
        b"YSCC", bytes(4) + inner
    )
    path = folder / "run--1_1.Z_mtrx"
    head += block(b"FERB", bytes(4) + _text(path.name))
    (folder / "run_0001.mtrx").write_bytes(b"ONTMATRX0101" + head)
    up = RAW[::-1]  # the first line is the bottom one; the way back is stored as it was scanned
    both = np.stack([up, (up + 1)[:, ::-1]], axis=1).astype("<i4")
    data = block(b"CSED", bytes(20) + struct.pack("<2i", both.size, both.size), 0)
    data += block(b"ATAD", both.tobytes(), 0)
    path.write_bytes(b"ONTMATRX0101" + block(b"TLKB", bytes(4) + data))
    return path
