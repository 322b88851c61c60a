"""Reading a file whose format is known by its content."""

from __future__ import annotations

from pathlib import Path

from grainscout.analysis.formats.csv import read_csv, read_csv_traces
from grainscout.analysis.formats.files import fault, load_head
from grainscout.analysis.formats.gwy import read_gwy
from grainscout.analysis.formats.igor import read_ibw, read_ibw_traces
from grainscout.analysis.formats.nanonis import read_3ds, read_dat, read_dat_traces
from grainscout.analysis.formats.nsid import read_nsid
from grainscout.analysis.formats.sxm import SXM, read_sxm
from grainscout.records import Scan
from grainscout.records.recording import Recording, Traces

_KNOWN = "a Nanonis .sxm, .3ds or .dat, Igor .ibw, NSID .h5, Gwyddion .gwy or .csv file"


def read(path: Path | str, *, rail: float | None = None) -> Scan | Recording:
    """Any supported file, by its content: images as a Scan, curves as a Recording.

    rail [A] : the current amplifier's full scale, for formats with curves (`find_rails`).
    DataError for an unknown, unreadable or damaged file.
    """
    kind = _kind(path)
    if kind == "3ds":
        return read_3ds(path, rail=rail)
    if kind == "sxm":
        return read_sxm(path)
    if kind == "dat":
        return read_dat(path, rail=rail)
    if kind == "ibw":
        return read_ibw(path, rail=rail)
    if kind == "hdf5":
        return read_nsid(path)
    if kind == "gwy":
        return read_gwy(path)
    return read_csv(path, rail=rail)


def read_traces(path: Path | str) -> Traces:
    """The columns of a single curve, whatever they are: ``.ibw``, ``.dat`` or ``.csv``."""
    kind = _kind(path)
    readers = {"ibw": read_ibw_traces, "dat": read_dat_traces, "csv": read_csv_traces}
    if kind not in readers:
        raise fault(path, "be an Igor .ibw, Nanonis .dat or .csv file with one curve", f"a {kind}")
    return readers[kind](path)


def _kind(path: Path | str) -> str:
    head = load_head(path)
    for start, kind in (
        (b"Grid dim", "3ds"),
        (SXM, "sxm"),
        (b"Experiment\t", "dat"),
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (b"GWYP", "gwy"),
        (b"\x05\x00", "ibw"),
        (b"\x00\x05", "ibw"),
    ):
        if head.startswith(start):
            return kind
    if Path(path).suffix.lower() == ".csv" and b"\0" not in head:
        return "csv"
    raise fault(path, f"be {_KNOWN}", f"a file that starts with {head[:12]!r}")
