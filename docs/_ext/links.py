"""Check of the links of the built manual.

``python links.py FOLDER`` prints what is wrong and exits with status 1 if anything is.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Targets, links and loaded files of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        found = {k: v for k, v in attrs if v is not None}
        self.ids |= {found[k] for k in ("id", "name") if k in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        loads = "src" if tag != "link" else "href"
        if loads in found and found.get("rel") not in (
            "search",
            "next",
            "prev",
            "index",
            "genindex",
        ):
            self.loaded.append(found[loads])


def faults(folder: Path) -> list[str]:
    """Line for each wrong link or loaded file."""
    pages = {
        path: _Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))
    }
    found = [] if pages else [f"{folder} must hold a built site; it has no page"]
    for path, page in pages.items():
        name = path.relative_to(folder)
        if "&lt;Figure size" in path.read_text(encoding="utf-8"):
            found.append(f"{name}: prints a figure instead of showing it")
        for link in page.loaded:
            if urlsplit(link).scheme not in ("", "data"):
                found.append(f"{name}: loads {link} from a network")
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            if not target.is_file():
                found.append(f"{name}: no file for {link}")
            # viewcode names one package for all of a file, so its way back may end at the page's top.
            elif parts.fragment and target.suffix == ".html" and name.parts[0] != "_modules":
                there = pages[folder / target.relative_to(folder.resolve())]
                if unquote(parts.fragment) not in there.ids:
                    found.append(f"{name}: no anchor for {link}")
    return sorted(set(found))


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong[:50]) or f"no broken link in {sys.argv[1]}")
    sys.exit(bool(wrong))
