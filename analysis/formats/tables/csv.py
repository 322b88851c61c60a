"""Comma-separated text: our own export, and anybody's table of current and voltage."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats.files import fault, fresh_file, intact
from grainscout.analysis.formats.metadata import from_json, to_json
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.recordings import own_export
from grainscout.analysis.formats.tables.curves import read_table
from grainscout.analysis.formats.tables.text import decoded
from grainscout.records import Recording, Scan, Waveform

_FIRST = "# grainscout csv 1"


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


def load_csv(asked: Asked) -> Scan | Recording:
    """Read what `write_csv` wrote, or anybody's table of voltages and currents.

    A table has a header line, with comment or other lines above it. Columns are separated by commas,
    semicolons, tabs or spaces; with semicolons, tabs or spaces, decimals may have a comma. A voltage
    and a current column with their units are needed, such as ``Voltage [V]`` and ``Current (nA)``.
    Time, ``row`` and ``column``, or positions ``x`` and ``y`` with their unit, a number or name of
    the ``curve``, and the ``cycle`` are optional. Lines of one site are one curve. A column that may
    divide lines into curves and is not understood is refused; others are kept in the metadata.

    Without time, samples are 1 ms apart (``metadata["time"]`` says so).
    """
    text = decoded(asked)
    if text.startswith(_FIRST):
        return own_export(asked, _read_own(asked.path, text))
    return read_table(asked, text)


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
