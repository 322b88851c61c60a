"""Self-contained HTML page with tables and pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from grainscout.records import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110

#: In the head of every page. Only such a file is overwritten.
_MARK = '<meta name="generator" content="Grainscout">'


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Figure as PNG, with caption and alternative text."""

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
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    raw = buffer.getvalue()
    width, height = (int.from_bytes(raw[at : at + 4], "big") for at in (16, 20))
    return Picture(
        data=base64.b64encode(raw).decode(), width=width, height=height, caption=caption, alt=alt
    )


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
