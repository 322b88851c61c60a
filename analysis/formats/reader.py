"""Reading a file whose format is known by its content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from grainscout.analysis.formats.files import fault, load_head
from grainscout.analysis.formats.gwy import read_gwy
from grainscout.analysis.formats.igor import read_ibw, read_ibw_traces
from grainscout.analysis.formats.nanonis import read_3ds, read_dat, read_sxm
from grainscout.analysis.formats.nanonis.image import SXM
from grainscout.analysis.formats.nanonis.spectrum import read_dat_traces
from grainscout.analysis.formats.nsid import read_nsid
from grainscout.analysis.formats.options import ReadOptions
from grainscout.analysis.formats.plain_images import GSF, TIFF, read_gsf, read_tiff
from grainscout.analysis.formats.tables import read_csv, read_csv_traces
from grainscout.records import Scan
from grainscout.records.recording import Recording, Traces

_READERS: dict[str, Callable[..., Scan | Recording]] = {
    "3ds": read_3ds,
    "sxm": read_sxm,
    "dat": read_dat,
    "ibw": read_ibw,
    "hdf5": read_nsid,
    "gwy": read_gwy,
    "gsf": read_gsf,
    "tiff": read_tiff,
    "csv": read_csv,
}
_TRACES: dict[str, Callable[[Path | str], Traces]] = {
    "ibw": read_ibw_traces,
    "dat": read_dat_traces,
    "csv": read_csv_traces,
}
_KNOWN = "a Nanonis .sxm, .3ds or .dat, Igor .ibw, NSID .h5, Gwyddion .gwy or .gsf, TIFF, .csv or text file"
_TEXT = {".csv", ".txt", ".tsv", ".dat", ".asc", ".prn", ".tab"}
_STARTS = (
    (b"Grid dim", "3ds"),
    (SXM, "sxm"),
    (b"Experiment\t", "dat"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"GWYP", "gwy"),
    (b"\x05\x00", "ibw"),
    (b"\x00\x05", "ibw"),
    (GSF, "gsf"),
    *((start, "tiff") for start in TIFF),
)


def read(path: Path | str, **options: Unpack[ReadOptions]) -> Scan | Recording:
    """Read any supported file, by its content: images as a Scan, curves as a Recording.

    Parameters
    ----------
    path : path
        The file.
    **options : ReadOptions
        What the file does not say, or says twice: rail, channel, current, cycle, pixel_nm,
        height_unit and crop_px.

    Returns
    -------
    Scan or Recording
        ``metadata["notes"]`` lists, in sentences, what was assumed, filled or left out.

    Raises
    ------
    DataError
        For an unknown, unreadable or damaged file.
    ConfigError
        For an option that does nothing for this file.
    """
    return _READERS[_kind(path)](path, **options)


def read_image(path: Path | str, **options: Unpack[ReadOptions]) -> Scan:
    """Read the images of any supported file: those of a scan, or those under a grid of curves."""
    data = read(path, **options)
    return data.scan if isinstance(data, Recording) else data


def read_traces(path: Path | str) -> Traces:
    """Read the columns of a single curve, whatever they are: ``.ibw``, ``.dat`` or ``.csv``."""
    kind = _kind(path)
    if kind not in _TRACES:
        raise fault(path, "be an Igor .ibw, Nanonis .dat or .csv file with one curve", f"a {kind}")
    return _TRACES[kind](path)


def notes_of(data: Scan | Recording) -> list[str]:
    """What was assumed, filled or left out when a file was read, in sentences."""
    notes = [*data.metadata.get("notes", ())]
    if isinstance(data, Recording):
        notes += [n for n in data.scan.metadata.get("notes", ()) if n not in notes]
    return [str(note) for note in notes]


def _kind(path: Path | str) -> str:
    head = load_head(path)
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if Path(path).suffix.lower() in _TEXT and (
        b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff"))
    ):
        return "csv"
    raise fault(path, f"be {_KNOWN}", f"a file that starts with {head[:12]!r}")
