"""Self-contained HTML page with tables and pictures."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jinja2 import Environment, StrictUndefined

from grainscout.records import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110

#: In the head of every page. Only such a file is overwritten.
_MARK = '<meta name="generator" content="Grainscout">'


#: Format of the figures of a page that is being made. See `svg_figures`.
_FORMAT: ContextVar[Literal["png", "svg"]] = ContextVar("format", default="png")


@contextmanager
def svg_figures(wanted: bool = True) -> Iterator[None]:
    """Make the figures within as SVG, which can be enlarged and edited."""
    token = _FORMAT.set("svg" if wanted else "png")
    try:
        yield
    finally:
        _FORMAT.reset(token)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Figure with caption and alternative text; `data` is its address."""

    data: str
    width: int
    height: int
    caption: str
    alt: str


#: Cells of a table: a text, or a text with a style (better, worse, top, or text for a long one).
Row = Sequence[str | dict[str, str]]


def styled(text: str, style: str = "text") -> dict[str, str]:
    """Cell with a style."""
    return {"text": text, "style": style}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Table of the page."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Row]

    @property
    def csv(self) -> str:
        """The table as a file to download, as the address of a link."""
        text = io.StringIO()
        rows = ([c if isinstance(c, str) else c["text"] for c in row] for row in self.rows)
        csv.writer(text).writerows([self.heads, *rows])
        return "data:text/csv;base64," + base64.b64encode(text.getvalue().encode()).decode()


@dataclass(frozen=True, kw_only=True)
class Details:
    """Block that opens on demand."""

    title: str
    pre: str = ""
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """Section of the page."""

    id: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    details: Sequence[Details] = field(default_factory=tuple)


def picture(figure: Figure, caption: str, alt: str) -> Picture:
    """Make a picture of a figure."""
    buffer, kind = io.BytesIO(), _FORMAT.get()
    silent = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    figure.savefig(buffer, format=kind, dpi=_DPI, bbox_inches="tight", metadata=silent)
    raw = buffer.getvalue()
    if kind == "png":
        width, height = (int.from_bytes(raw[at : at + 4], "big") for at in (16, 20))
    else:  # in points, which are drawn at the size of the PNG
        size = re.search(rb'width="([\d.]+)pt" height="([\d.]+)pt"', raw)
        width, height = (round(float(v) * _DPI / 72) for v in size.groups()) if size else (0, 0)
    data = f"data:image/{kind.replace('svg', 'svg+xml')};base64,{base64.b64encode(raw).decode()}"
    return Picture(data=data, width=width, height=height, caption=caption, alt=alt)


def may_write(path: Path) -> None:
    """Raise ConfigError if `path` is another file."""
    if path.is_dir():
        raise ConfigError(f"report must be a file; {path} is a folder")
    if path.exists():
        with path.open("rb") as file:
            if _MARK.encode() not in file.read(400):
                raise ConfigError(
                    f"{path} exists, is not a report and is not overwritten. Choose another --out"
                )


def write_page(
    path: Path,
    *,
    kind: str,
    title: str,
    question: str,
    verdicts: Sequence[str],
    sections: Sequence[Section],
) -> None:
    """Write the page atomically, over a report only."""
    may_write(path)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        (files("grainscout.benchmarks.reports") / "report.html.j2").read_text(encoding="utf-8")
    )
    text = template.render(
        kind=kind, title=title, question=question, verdicts=verdicts, sections=sections
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
