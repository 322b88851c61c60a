"""The house's docstrings as reStructuredText.

The house writes ``name : what it is [unit];  other : what that is`` and, above options, a title
that is underlined.  Both are plain to read in a terminal and mean nothing to docutils.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NAMES = r"\*{0,2}`{0,2}[A-Za-z_]\w*`{0,2}(?:, `{0,2}\*{0,2}\w+`{0,2}){0,9}"
_ITEM = re.compile(rf"({_NAMES}) : (?=\S)")
_NEXT = re.compile(rf"[;.]\s+(?={_NAMES} : \S)")
_UNDERLINE = re.compile(r"(-{3,}|={3,})$")


def items(paragraph: str) -> list[tuple[str, str]]:
    """(names, meaning) of each ``name : meaning`` in a paragraph; empty if it does not begin so.

    paragraph : lines without a blank one; a new item begins a line or follows a semicolon.
    """
    found: list[tuple[str, str]] = []
    for line in paragraph.splitlines():
        text = line.strip()
        if not found and (line.startswith(" ") or not _ITEM.match(text)):
            return []
        indented = line.startswith(" ")
        for k, piece in enumerate(_NEXT.split(text)):
            match = _ITEM.match(piece) if k or not indented else None
            if match:
                found.append((match[1].replace("`", ""), piece[match.end() :]))
            else:
                found[-1] = (found[-1][0], f"{found[-1][1]} {piece}")
    return found


def paragraphs(text: Iterable[str]) -> Iterator[str]:
    """Blocks between blank lines; an underlined title is a block of its own."""
    block: list[str] = []
    for line in [*text, ""]:
        if line.strip():
            block.append(line)
        if block and (not line.strip() or (len(block) == 2 and _titled(block))):
            yield "\n".join(block)
            block = []


def restructured(text: Iterable[str]) -> list[str]:
    """The docstring's lines as lines of reStructuredText; an indented block is as it is written."""
    out: list[str] = []
    code = False
    for block in paragraphs(text):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines):
            out += [*([] if code else ["::", ""]), *lines, ""]
            code = True
            continue
        code = block.rstrip().endswith("::")
        if _titled(lines):
            out += [f".. rubric:: {lines[0]}", ""]
        elif found := items(block):
            out += [f"* **{name}**: {_escaped(meaning)}" for name, meaning in found] + [""]
        else:
            out += [*(_escaped(line) for line in lines), ""]
    return out


def _escaped(line: str) -> str:
    """Bars outside quotation by backticks mean themselves and not a substitution."""
    parts = re.split(r"(``.*?``|`.*?`)", line)
    return "".join(p if p.startswith("`") else p.replace("|", r"\|") for p in parts)


def _titled(block: list[str]) -> bool:
    return len(block) == 2 and bool(_UNDERLINE.match(block[1])) and not block[0].startswith("=")
