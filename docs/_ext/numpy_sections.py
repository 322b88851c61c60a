"""Sections of numpydoc docstrings."""

from __future__ import annotations

import inspect
import re

_TITLE = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.M)
_ITEM = re.compile(r"^(\S[^:\n]*?) ?: (.*)\n((?:[ ]{4,}.*\n|\n)*)", re.M)


def sections(doc: str | None) -> dict[str, str]:
    """Text of each section by its title."""
    parts = _TITLE.split(inspect.cleandoc(doc or "") + "\n")
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def parameters(doc: str | None) -> dict[str, str]:
    """Meaning of each parameter or attribute."""
    found: dict[str, str] = {}
    for title in ("Parameters", "Attributes"):
        for names, _, meaning in _ITEM.findall(sections(doc).get(title, "")):
            text = " ".join(line.strip() for line in meaning.splitlines()).strip()
            found |= dict.fromkeys(names.split(", "), text)
    return found
