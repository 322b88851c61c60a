"""Sphinx extension that writes generated pages and pictures."""

from __future__ import annotations

from pathlib import Path

import commands
import pictures
import policy_pages
import reference_pages
from sphinx.application import Sphinx


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    pages = {
        "command-line.md": commands.page(),
        "policies.rst": policy_pages.page(),
        **reference_pages.pages(),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    made = folder / "pictures"
    missing = [m.__name__ for m in pictures.MAKERS if not (made / f"{m.__name__}.png").is_file()]
    if missing:
        pictures.make(made, tuple(missing))


def contents(text: str, folder: Path) -> str:
    """Table of contents with exactly the existing pages."""
    pages = (f"manual/{path.stem}" for path in sorted((folder / "manual").glob("*.md")))
    forgotten = [page for page in pages if f"\n{page}\n" not in text]
    return text.replace("\nhowto/remote\n", "\n".join(["", "howto/remote", *forgotten, ""]), 1)


def _contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """List the decision records by their folder."""
    if docname == "decisions/README":
        source[0] += "\n```{toctree}\n:glob:\n:maxdepth: 1\n\n0*\n```\n"
    if docname == app.config.root_doc:
        source[0] = contents(source[0], Path(app.srcdir))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _write)
    app.connect("source-read", _contents)
    return {"parallel_read_safe": True}
