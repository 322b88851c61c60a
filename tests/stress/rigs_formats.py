"""Valid small files of every imported format, and files that promise what they do not hold."""

import itertools
import os
import struct
from pathlib import Path

import numpy as np

from grainscout.analysis.formats import Recording, write_csv, write_gwy, write_nsid
from grainscout.records import Scan, Waveform


def recording() -> Recording:
    rng = np.random.default_rng(3)
    sweep = Waveform.triangle(1.0, 9, 0.1)
    grid = np.argwhere(np.ones((4, 5), bool))
    return Recording(
        scan=Scan(
            channels={"height": rng.random((4, 5)), "current": rng.random((4, 5))},
            units={"height": "m", "current": "A"},
            pixel_size=(1e-8, 2e-8),
            metadata={"note": {"a": [1, "b"]}, "list": np.arange(3.0)},
        ),
        sites=grid,
        waveform=sweep,
        current=rng.normal(0, 1e-9, (20, 9)),
        metadata={"table": np.eye(2)},
    )


def _grid_3ds() -> bytes:
    rng = np.random.default_rng(1)
    header = (
        'Grid dim="3 x 2"\r\nGrid settings=1E-7;2E-7;3E-8;2E-8;0E+0\r\nFiletype=Linear\r\n'
        'Sweep Signal="Bias (V)"\r\nFixed parameters="Sweep Start;Sweep End"\r\n'
        'Experiment parameters="X (m);Y (m);Z (m);Settling time (s);Integration time (s)"\r\n'
        "# Parameters (4 byte)=7\r\nExperiment size (bytes)=32\r\nPoints=8\r\n"
        'Channels="Current (A);Current [bwd] (A)"\r\nDelay before measuring (s)=0\r\n:HEADER_END:\r\n'
    )
    points = []
    for line, column in itertools.product(range(2), range(3)):
        start = [0.0, 1.0, 9e-8 + 1e-8 * column, 1.9e-7 + 1e-8 * line, 1e-9, 1e-3, 1e-3]
        points.append(np.concatenate([start, rng.normal(0, 1e-9, 16)]))
    return header.encode() + np.array(points).astype(">f4").tobytes()


def _spectrum_dat() -> bytes:
    lines = ["Experiment\tbias spectroscopy\t", "X (m)\t1E-9\t", "Y (m)\t2E-9\t", "Z (m)\t3E-9\t"]
    lines += ["Settling time (s)\t1E-3\t", "Integration time (s)\t1E-3\t", "", "[DATA]"]
    lines += ["Bias calc (V)\tCurrent (A)\tCurrent [bwd] (A)"]
    lines += [f"{v:.3E}\t{v * 1e-9:.3E}\t{v * 2e-9:.3E}" for v in np.linspace(-1, 1, 12)]
    return ("\r\n".join(lines) + "\r\n").encode()


def _image_sxm() -> bytes:
    fields = {
        "NANONIS_VERSION": "2",
        "SCANIT_TYPE": "FLOAT MSBFIRST",
        "SCAN_PIXELS": "5 4",
        "SCAN_RANGE": "1E-7 8E-8",
        "SCAN_OFFSET": "2E-6 -3E-6",
        "SCAN_ANGLE": "3.0E+1",
        "SCAN_DIR": "up",
        "DATA_INFO": "\tChannel\tName\tUnit\tDirection\tCalibration\tOffset\n"
        "\t0\tZ\tm\tboth\t1.0E+0\t0.0E+0\n\t1\tCurrent\tA\tforward\t1.0E+0\t0.0E+0\n",
    }
    text = "".join(f":{k}:\n{v}\n" for k, v in fields.items()) + ":SCANIT_END:\n\n\n"
    frames = np.random.default_rng(6).normal(0, 1e-9, (3, 4, 5)).astype(">f4")
    return text.encode() + b"\x1a\x04" + frames.tobytes()


def _waves_ibw() -> list[bytes]:
    from fake_igor import ibw

    rng = np.random.default_rng(2)
    image = ibw(rng.random((6, 5, 2)), ["HeightRetrace", "CurrentRetrace"], (1e-8, 1e-8), {"a": 1})
    curve = np.column_stack([np.zeros(20), rng.random(20), np.linspace(0, 1, 20)])
    return [image, ibw(curve, ["Defl", "Current", "Bias"], (1e-3,), {"b": 2})]


def _foreign_nsid(path: Path) -> bytes:
    """A spectral image as pyNSID lays it out, without our own marks."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000/Current")
        main = group.create_dataset("Current", data=np.random.default_rng(4).random((4, 3, 6)))
        main.attrs.update({"data_type": "SPECTRAL_IMAGE", "quantity": "Current", "units": "nA"})
        main.attrs["DIMENSION_LABELS"] = ["x", "y", "Voltage"]
        for label, count, unit, kind in (
            ("x", 4, "nm", "SPATIAL"),
            ("y", 3, "nm", "SPATIAL"),
            ("Voltage", 6, "V", "SPECTRAL"),
        ):
            scale = group.create_dataset(label, data=np.linspace(0, 1, count))
            scale.attrs.update({"units": unit, "dimension_type": kind, "quantity": label})
    return path.read_bytes()


def _table_csv() -> bytes:
    rows = [f"{r},{c},{v},{v * r:.3g}" for r in range(2) for c in range(2) for v in (0, 0.5, 1)]
    return ("row,column,Voltage [V],Current [nA]\n" + "\n".join(rows) + "\n").encode()


def corpus(folder: Path) -> dict[str, list[bytes]]:
    """Valid small files of each format by their extension; the small ones of the shared data, too."""
    whole = recording()
    part = Recording(
        scan=whole.scan, sites=whole.sites[::3], waveform=whole.waveform, current=whole.current[::3]
    )
    files: dict[str, list[bytes]] = {
        "3ds": [_grid_3ds()],
        "dat": [_spectrum_dat()],
        "sxm": [_image_sxm()],
        "ibw": _waves_ibw(),
        "csv": [_table_csv()],
        "gwy": [],
        "h5": [_foreign_nsid(folder / "foreign.h5")],
    }
    for k, data in enumerate((whole, part, whole.scan)):
        for kind, write in (("h5", write_nsid), ("csv", write_csv)):
            write(data, folder / f"{k}.{kind}")
            files[kind].append((folder / f"{k}.{kind}").read_bytes())
    write_gwy(whole.scan, folder / "0.gwy")
    files["gwy"].append((folder / "0.gwy").read_bytes())
    shared = Path(os.environ.get("GRAINSCOUT_DATA", Path(__file__).parents[3] / "shared/data"))
    for path in sorted(shared.rglob("*")):
        if path.suffix[1:] in files and path.stat().st_size < 200_000:
            files[path.suffix[1:]].append(path.read_bytes())
    return files


def with_checksum(wave: bytearray) -> bytes:
    """An Igor wave whose header's checksum is right."""
    total = sum(struct.unpack("<192h", wave[:384])) - struct.unpack_from("<h", wave, 2)[0]
    struct.pack_into("<h", wave, 2, ((-total + 2**15) % 2**16) - 2**15)
    return bytes(wave)


#: An array of texts of a billion bytes each.
_TEXT_BOMB = b'"x": {"__array__": "S1000000000", "values": [1, 2, 3, 4, 5, 6, 7, 8]}, '


def bombs_of(kind: str, good: bytes) -> list[bytes]:
    """Headers that promise a tera-point, and bodies that unfold."""
    if kind == "3ds":
        return [
            good.replace(b"3 x 2", b"1000000 x 1000000"),
            good.replace(b"Points=8", b"Points=999999999"),
            good.replace(b"byte)=7", b"byte)=999999999"),
            good.replace(b"3 x 2", b"10000 x 10000"),
        ]
    if kind == "sxm":
        return [good.replace(b"\n5 4\n", size) for size in (b"\n32768 32768\n", b"\n1e9 1\n")]
    if kind == "ibw":
        out = []
        for sides in ((10**6, 10**6, 0, 0), (2**31 - 1,) * 4, (-1, 5, 2, 0)):
            raw = bytearray(good)
            struct.pack_into("<4i", raw, 64 + 68, *sides)
            out.append(with_checksum(raw))
        return out
    if kind == "gwy":
        return [good.replace(struct.pack("<i", 5), struct.pack("<i", 2**31 - 1), 1)]
    if kind == "csv":
        return [
            good.replace(b"\n1,1,", b"\n99999,99999,"),
            good.replace(b"\n1,1,", b"\n1e300,1,"),
            good + b"9" * 3_000_000 + b"\n",
            b'# grainscout csv 1\n# {"channels": ' + b"[" * 90_000 + b"\n\n# end\n",
            good.replace(b'"scan_metadata": {', b'"scan_metadata": {' + _TEXT_BOMB),
        ]
    return []


def bomb_h5(path: Path) -> bytes:
    """Some kilobytes that unfold to 5 GB: chunks that were never written."""
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("Measurement_000/Channel_000/Height")
        main = group.create_dataset("Height", (20_000, 20_000), dtype="f4", chunks=(1000, 1000))
        main.attrs.update({"data_type": "IMAGE", "quantity": "Height", "units": "m"})
        main.attrs["DIMENSION_LABELS"] = ["x", "y"]
        for label in "xy":
            scale = group.create_dataset(label, data=np.linspace(0, 1, 20_000))
            scale.attrs.update({"units": "m", "dimension_type": "SPATIAL"})
    return path.read_bytes()
