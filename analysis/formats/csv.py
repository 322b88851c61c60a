"""Comma-separated text: our own export, and anybody's table of current and voltage."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats.files import (
    MOST_PIXELS,
    fault,
    fresh_file,
    intact,
    load_bytes,
    number,
    si,
    split_name,
)
from grainscout.analysis.formats.metadata import from_json, to_json
from grainscout.records import Scan, Waveform
from grainscout.records.arrays import FloatArray
from grainscout.records.recording import Recording, Traces, find_rails

_FIRST = "# grainscout csv 1"
_TIME = ("time", "t")
_VOLTAGE = ("voltage", "bias", "v", "u")
_CURRENT = ("current", "i")


def write_csv(data: Scan | Recording, path: Path | str, *, overwrite: bool = False) -> None:
    """Write a scan or a recording as text that spreadsheets open and `read_csv` gives back exactly.

    After two comment lines (the second is JSON: units, axes, metadata) come sections, each headed
    by ``# section,<name>``: one of pixel rows for each channel; for a recording also "sweep" (voltage
    [V], time [s]), "current" (row, column, then a sample in each column) and "saturated".
    """
    scan = data.scan if isinstance(data, Recording) else data
    head: dict[str, Any] = {
        "kind": "scan" if scan is data else "recording",
        "channels": list(scan.channels),
        "units": scan.units,
        "pixel_size": scan.pixel_size,
        "origin": scan.origin,
        "angle": scan.angle,
        "scan_metadata": scan.metadata,
    }
    if isinstance(data, Recording):
        head |= {"unit": data.unit, "waveform": data.waveform.kind, "metadata": data.metadata}
    with (
        fresh_file(path, overwrite=overwrite) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        print(_FIRST, f"# {to_json(head)}", sep="\n", file=file)
        writer = csv.writer(file, lineterminator="\n")
        for name, image in scan.channels.items():
            writer.writerow(["# section", name])
            writer.writerows(image.tolist())
        if isinstance(data, Recording):
            writer.writerow(["# section", "sweep"])
            sweep = zip(data.waveform.voltage.tolist(), data.waveform.time.tolist(), strict=True)
            writer.writerows(sweep)
            for name, values in (("current", data.current), ("saturated", data.saturated * 1)):
                writer.writerow(["# section", name])
                for site, curve in zip(data.sites.tolist(), values.tolist(), strict=True):
                    writer.writerow([*site, *curve])
        print("# end", file=file)


def read_csv(path: Path | str, *, rail: float | None = None) -> Scan | Recording:
    """What `write_csv` wrote, or a plain table with one header line.

    A plain table needs a voltage and a current column with their units, such as ``Voltage [V]`` and
    ``Current (nA)``; time (with its unit), ``row`` and ``column`` are optional.  Without row and
    column all lines are one curve; with them, one curve of the same voltages for each site.
    Without time, samples are 1 ms apart (``metadata["time"]`` says so).  rail [A]: as in
    `find_rails`.
    """
    text = _decoded(path)
    if text.startswith(_FIRST):
        return _read_own(path, text)
    return _read_table(path, text, rail)


def _decoded(path: Path | str) -> str:
    try:
        return load_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault(path, "be UTF-8 text", str(error)) from error


def _read_own(path: Path | str, text: str) -> Scan | Recording:
    lines = text.splitlines()
    if not text.endswith("\n# end\n") or len(lines) < 3:
        raise fault(path, "end with '# end'", repr(lines[-1][-30:]), "It is truncated")
    with intact(path, "export of a scan or recording", csv.Error):
        head = from_json(lines[1].removeprefix("# "))
        sections: list[tuple[str, list[list[float]]]] = []
        for row in csv.reader(lines[2:-1]):
            if row and row[0] == "# section":
                sections.append((row[1], []))
            else:
                sections[-1][1].append([float(v) for v in row])
        blocks = [(name, np.array(rows)) for name, rows in sections]
        names = head["channels"]
        if [n for n, _ in blocks[: len(names)]] != names:
            raise fault(path, f"have the sections {names}", f"{[n for n, _ in blocks]}")
        scan = Scan(
            channels=dict(blocks[: len(names)]),
            units=head["units"],
            pixel_size=tuple(head["pixel_size"]),
            origin=tuple(head["origin"]),
            angle=head["angle"],
            metadata=head["scan_metadata"],
        )
        if head["kind"] == "scan":
            return scan
        (_, sweep), (_, current), (_, saturated) = blocks[len(names) :]
        sites = current[:, :2]
        if not ((sites == np.round(sites)) & (np.abs(sites) < 2**31)).all():
            raise fault(path, "have whole numbers as rows and columns", "others")
        return Recording(
            scan=scan,
            sites=sites.astype(np.int64),
            waveform=Waveform(voltage=sweep[:, 0], time=sweep[:, 1], kind=head["waveform"]),
            current=current[:, 2:],
            saturated=saturated[:, 2:] != 0,
            unit=head["unit"],
            metadata=head["metadata"],
        )


def read_csv_traces(path: Path | str) -> Traces:
    """All columns of a plain table, in SI units."""
    text = _decoded(path)
    if text.startswith("#"):
        raise fault(path, "be a plain table with one header line", "comment lines")
    columns, units = _table(path, text)
    time = _pick(columns, units, _TIME, "s")
    return Traces(
        channels=columns,
        units={k: u for k, u in units.items() if u},
        time=np.arange(len(next(iter(columns.values()))), dtype=np.float64) * 1e-3
        if time is None
        else columns[time],
        metadata={"source": "CSV"},
    )


def _table(path: Path | str, text: str) -> tuple[dict[str, FloatArray], dict[str, str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if any(row)]
    except csv.Error as error:
        raise fault(path, "be comma-separated text", str(error)) from error
    if len(rows) < 3 or len(rows[0]) < 2:
        raise fault(
            path,
            "have a header line and two or more lines of comma-separated numbers",
            f"{len(rows)} lines",
        )
    if not text.endswith("\n"):
        raise fault(path, "end with a complete line", repr(text[-20:]), "It may be truncated")
    names, units, factors = [], {}, []
    for label in rows[0]:
        name, unit = split_name(label)
        factor, units[name] = si(unit)
        names.append(name)
        factors.append(factor)
    if len(set(names)) != len(names):
        raise fault(path, "name its columns differently", ", ".join(names))
    for i, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise fault(path, f"have {len(names)} columns in each line", f"{len(row)} in line {i}")
    columns = {
        name: np.array([number(path, name, row[i]) for row in rows[1:]]) * factors[i]
        for i, name in enumerate(names)
    }
    return columns, units


def _pick(
    columns: dict[str, FloatArray],
    units: dict[str, str],
    words: tuple[str, ...],
    unit: str,
) -> str | None:
    return next((n for n in columns if n.lower() in words and units[n] == unit), None)


def _read_table(path: Path | str, text: str, rail: float | None) -> Recording:
    columns, units = _table(path, text)
    voltage = _pick(columns, units, _VOLTAGE, "V")
    current = _pick(columns, units, _CURRENT, "A")
    if voltage is None or current is None:
        raise fault(
            path,
            "have a voltage and a current column with their units, such as 'Voltage [V]' and "
            "'Current [nA]'",
            ", ".join(f"{n} [{units[n]}]" for n in columns),
        )
    time = _pick(columns, units, _TIME, "s")
    lower = {name.lower(): name for name in columns}
    samples = len(columns[voltage])
    sites = np.zeros((samples, 2), np.int64)
    if "row" in lower and "column" in lower:
        raw = np.column_stack([columns[lower["row"]], columns[lower["column"]]])
        if not (np.isfinite(raw).all() and (raw >= 0).all() and (raw == np.round(raw)).all()):
            raise fault(path, "have whole numbers >= 0 as row and column", "others")
        if np.prod(raw.max(axis=0) + 1) > MOST_PIXELS:
            raise fault(
                path,
                f"have rows and columns of a picture of at most {MOST_PIXELS} pixels",
                " x ".join(f"{v + 1:g}" for v in raw.max(axis=0)),
            )
        sites = raw.astype(np.int64)
    unique, inverse, counts = np.unique(sites, axis=0, return_inverse=True, return_counts=True)
    if (counts != counts[0]).any():
        raise fault(path, "have as many samples at each site", f"{counts.min()} to {counts.max()}")
    order = np.argsort(inverse.ravel(), kind="stable").reshape(len(unique), counts[0])
    volts = columns[voltage][order]
    clock = (
        np.arange(counts[0], dtype=np.float64) * 1e-3 if time is None else columns[time][order][0]
    )
    if np.abs(volts - volts[0]).max() > 1e-9:
        raise fault(path, "have the same voltages at each site", "different ones")
    values = columns[current][order]
    with intact(path, "table of currents and voltages"):
        extent = unique.max(axis=0) + 1
        image = np.zeros((int(extent[0]), int(extent[1])))
        image[unique[:, 0], unique[:, 1]] = 1.0
        return Recording(
            scan=Scan(channels={"recorded": image}, pixel_size=(1e-9, 1e-9)),
            sites=unique,
            waveform=Waveform(voltage=volts[0], time=clock - clock[0], kind="recorded"),
            current=values,
            saturated=find_rails(values, rail=rail),
            metadata={
                "source": "CSV",
                "time": "not recorded; 1 ms a sample is assumed" if time is None else "recorded",
                "pixel_size": "not recorded; 1 nm is assumed",
            },
        )
