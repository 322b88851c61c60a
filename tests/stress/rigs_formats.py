"""Valid small files of every imported format, and files that promise what they do not hold."""

import os
import re
import struct
from pathlib import Path

import h5py
import numpy as np
from fake_igor import ibw
from test_nanonis_grids import HEAD, TIMES, grid, spectrum
from test_nanonis_images import sxm
from test_nsid_files import bias, ohmic, place, write

from grainscout.analysis.formats import Recording, write_csv, write_gwy, write_nsid
from grainscout.records import Scan, Waveform


def recording(step=1):
    """A recording of every so-manieth site."""
    rng = np.random.default_rng(3)
    scan = Scan(
        channels={"height": rng.random((4, 5)), "current": rng.random((4, 5))},
        units={"height": "m", "current": "A"},
        pixel_size=(1e-8, 2e-8),
        metadata={"note": {"a": [1, "b"]}, "list": np.arange(3.0)},
    )
    return Recording(
        scan=scan,
        sites=np.argwhere(np.ones((4, 5), bool))[::step],
        waveform=Waveform.triangle(1.0, 9, 0.1),
        current=rng.normal(0, 1e-9, (20, 9))[::step],
        metadata={"table": np.eye(2)},
    )


def corpus(folder):
    """Valid small files of each format by their extension; the small ones of the shared data, too."""
    rng = np.random.default_rng(2)
    image = ibw(rng.random((6, 5, 2)), ["HeightRetrace", "CurrentRetrace"], (1e-8, 1e-8), {"a": 1})
    curve = np.column_stack([np.zeros(20), rng.random(20), np.linspace(0, 1, 20)])
    (folder / "image.ibw").write_bytes(image)
    (folder / "curve.ibw").write_bytes(ibw(curve, ["Defl", "Current", "Bias"], (1e-3,), {"b": 2}))
    both = ["Current (A)", "Current [bwd] (A)"]
    grid(folder / "grid.3ds", shape=(2, 3), points=8, channels=both)
    rows = np.outer(np.linspace(-1, 1, 12), [1.0, 1e-9, 2e-9])
    spectrum(folder / "spectrum.dat", HEAD + TIMES, ["Bias calc (V)", *both], rows)
    sxm(folder / "image.sxm")
    write(folder / "foreign.h5", (ohmic(), [*place(), bias()], "Current", "A"))
    cells = [f"{r},{c},{v},{v * r:.3g}" for r in range(2) for c in range(2) for v in (0, 0.5, 1)]
    table = "\n".join(["row,column,Voltage [V],Current [nA]", *cells, ""])
    (folder / "table.csv").write_text(table)
    for k, data in enumerate((recording(), recording(3), recording().scan)):
        write_nsid(data, folder / f"{k}.h5")
        write_csv(data, folder / f"{k}.csv")
    write_gwy(recording().scan, folder / "0.gwy")
    shared = Path(os.environ.get("GRAINSCOUT_DATA", Path(__file__).parents[3] / "shared/data"))
    files = {kind: [] for kind in ("3ds", "dat", "sxm", "ibw", "csv", "gwy", "h5")}
    for path in [*sorted(folder.iterdir()), *sorted(shared.rglob("*"))]:
        if path.suffix[1:] in files and path.stat().st_size < 200_000:
            files[path.suffix[1:]].append(path.read_bytes())
    return files


def with_checksum(wave):
    """An Igor wave whose header's checksum is right."""
    wave = bytearray(wave)
    total = sum(struct.unpack("<192h", wave[:384])) - struct.unpack_from("<h", wave, 2)[0]
    struct.pack_into("<h", wave, 2, ((-total + 2**15) % 2**16) - 2**15)
    return bytes(wave)


#: What is replaced in a good file of a format, so that its header promises a tera-point.
_PROMISES = {
    "3ds": [
        (rb"\d+ x \d+", b"1000000 x 1000000"),
        (rb"Points=\d+", b"Points=999999999"),
        (rb"byte\)=\d+", b"byte)=999999999"),
        (rb"\d+ x \d+", b"10000 x 10000"),
    ],
    "sxm": [(rb"(?<=PIXELS:\n).*", size) for size in (b"32768 32768", b"1e9 1")],
    "gwy": [(re.escape(struct.pack("<i", 5)), struct.pack("<i", 2**31 - 1))],
    "csv": [
        (rb"\n1,1,", b"\n99999,99999,"),
        (rb"\n1,1,", b"\n1e300,1,"),
        (rb"\Z", b"9" * 3_000_000 + b"\n"),
        (rb"(?s).*", b'# grainscout csv 1\n# {"channels": ' + b"[" * 90_000 + b"\n\n# end\n"),
        # An array of texts of a billion bytes each.
        (rb'(?<="scan_metadata": {)', b'"x": {"__array__": "S1000000000", "values": [1, 2, 3]}, '),
    ],
}


def bombs_of(kind, good, folder):
    """Headers that promise a tera-point, and bodies that unfold."""
    if kind == "ibw":
        for sides in ((10**6, 10**6, 0, 0), (2**31 - 1,) * 4, (-1, 5, 2, 0)):
            yield with_checksum(good[:132] + struct.pack("<4i", *sides) + good[148:])
    for pattern, promise in _PROMISES.get(kind, ()):
        yield re.sub(pattern, lambda _, to=promise: to, good, count=1)
    if kind == "h5":  # some kilobytes that unfold to 5 GB: chunks that were never written
        path, axis = folder / "bomb.h5", np.linspace(0, 1e-6, 20_000)
        write(path, (np.zeros((2, 2)), place(axis, axis), "Height", "m"))
        with h5py.File(path, "r+") as file:
            group = file["Measurement_000/Channel_000/main"]
            marks = dict(group["main"].attrs)
            del group["main"]
            main = group.create_dataset("main", (20_000, 20_000), dtype="f4", chunks=(1000, 1000))
            main.attrs.update(marks)
        yield path.read_bytes()
