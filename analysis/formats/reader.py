"""Reading a file whose format is known by its content."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from grainscout.analysis.formats.files import fault, intact, load_head
from grainscout.analysis.formats.gwy import load_gwy
from grainscout.analysis.formats.igor import load_ibw, read_ibw_traces
from grainscout.analysis.formats.makers.bruker import load_bruker
from grainscout.analysis.formats.makers.createc import load_createc
from grainscout.analysis.formats.makers.movies import load_asd
from grainscout.analysis.formats.makers.nanosurf import load_nid
from grainscout.analysis.formats.makers.omicron import load_matrix
from grainscout.analysis.formats.makers.rhk import load_sm4
from grainscout.analysis.formats.makers.wsxm import load_wsxm
from grainscout.analysis.formats.nanonis.grid import load_3ds
from grainscout.analysis.formats.nanonis.image import SXM, load_sxm
from grainscout.analysis.formats.nanonis.spectrum import load_dat, read_dat_traces
from grainscout.analysis.formats.nsid.reader import load_hdf5
from grainscout.analysis.formats.options import Asked, ReadOptions
from grainscout.analysis.formats.plain_images import GSF, TIFF, load_gsf, load_tiff
from grainscout.analysis.formats.tables.csv import load_csv
from grainscout.analysis.formats.tables.curves import read_csv_traces
from grainscout.records import DataError, Recording, Scan, Traces


@dataclass(frozen=True, kw_only=True)
class _Format:
    """A kind of file: its name, the bytes that it starts with, and its reader."""

    title: str
    load: Callable[[Asked], Scan | Recording]
    starts: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()
    traces: Callable[[Path | str], Traces] | None = None


_TEXT = (".csv", ".txt", ".tsv", ".dat", ".asc", ".prn", ".tab")
_STM = "STiMage ".encode("utf-16-le")
_FORMATS = (
    _Format(title="Nanonis grid (.3ds)", load=load_3ds, starts=(b"Grid dim",)),
    _Format(title="Nanonis image (.sxm)", load=load_sxm, starts=(SXM,)),
    _Format(
        title="Nanonis spectrum (.dat)",
        load=load_dat,
        starts=(b"Experiment\t",),
        traces=read_dat_traces,
    ),
    _Format(
        title="Igor binary wave (.ibw)",
        load=load_ibw,
        starts=(b"\x05\x00", b"\x00\x05"),
        traces=read_ibw_traces,
    ),
    _Format(title="HDF5 file (NSID, USID, NeXus, TopoStats)", load=load_hdf5, starts=(b"\x89HDF",)),
    _Format(title="Gwyddion file (.gwy)", load=load_gwy, starts=(b"GWYP",)),
    _Format(title="Gwyddion simple field (.gsf)", load=load_gsf, starts=(GSF,)),
    _Format(title="TIFF, JPK or Park image", load=load_tiff, starts=TIFF),
    _Format(
        title="Bruker NanoScope file",
        load=load_bruker,
        starts=(b"\\*File list", b"\\*Force file list", b"\\*EC File list"),
    ),
    _Format(title="Omicron Matrix file", load=load_matrix, starts=(b"ONTMATRX",)),
    _Format(title="Nanosurf image (.nid)", load=load_nid, starts=(b"[DataSet]",)),
    _Format(title="RHK file (.sm4)", load=load_sm4, starts=(_STM,)),
    _Format(title="Createc file", load=load_createc, starts=(b"[Param", b"[ParVERT")),
    _Format(title="WSxM file", load=load_wsxm, starts=(b"WSxM file copyright",)),
    _Format(title="high-speed AFM movie (.asd)", load=load_asd, suffixes=(".asd",)),
    _Format(title="table", load=load_csv, suffixes=_TEXT, traces=read_csv_traces),
)
#: Files of others that come by mistake: what they start with, what they are, what to do.
_FOREIGN = {
    b"\x89PNG": ("a PNG picture", "A picture has lost its units: use the microscope's file"),
    b"\xff\xd8": ("a JPEG picture", "A picture has lost its units: use the microscope's file"),
    b"%PDF": ("a PDF", "Use the microscope's file"),
    b"PK\x03\x04": ("a ZIP archive (.npz, .xlsx, .jpk-force)", "Unpack or export what is in it"),
    b"SQLite": ("a journal or a campaign's store", "Use grainscout report, or grainscout export"),
    b"\x93NUMPY": ("a NumPy array", "It has no units: write a table, or use write_nsid"),
    b"MATLAB": ("a MATLAB file", "Export it as a table or as HDF5 of NSID"),
}


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
        For an unknown, unreadable or damaged file. It says what the file is taken for.
    ConfigError
        For an option that does nothing for this file.
    """
    asked = Asked(path, options)
    kind = _kind(path)
    try:
        with intact(path, kind.title):
            data = kind.load(asked)
    except DataError as error:
        said = str(error)
        known = kind.title in said
        raise DataError(said if known else f"{said}. It is taken for: {kind.title}") from error
    asked.refuse_idle(f"this {kind.title}")
    return data


def read_image(path: Path | str, **options: Unpack[ReadOptions]) -> Scan:
    """Read the images of any supported file: those of a scan, or those under a grid of curves."""
    data = read(path, **options)
    return data.scan if isinstance(data, Recording) else data


def read_traces(path: Path | str) -> Traces:
    """Read the columns of a single curve, whatever they are: ``.ibw``, ``.dat`` or ``.csv``."""
    kind = _kind(path)
    if kind.traces is None:
        raise fault(path, "be an Igor .ibw, Nanonis .dat or .csv file with one curve", kind.title)
    return kind.traces(path)


def _kind(path: Path | str) -> _Format:
    head = load_head(path)
    suffix = Path(path).suffix.lower()
    for kind in _FORMATS:
        if any(head.startswith(start, 2 if start == _STM else 0) for start in kind.starts):
            return kind
    for start, (name, mend) in _FOREIGN.items():
        if head.startswith(start):
            raise fault(path, "be a file of a microscope, a table or an export", name, mend)
    is_text = b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff"))
    for kind in _FORMATS:
        if suffix in kind.suffixes and (is_text or kind.load is not load_csv):
            return kind
    known = "; ".join(kind.title for kind in _FORMATS)
    raise fault(path, f"be one of: {known}", f"a file that starts with {head[:12]!r}")
