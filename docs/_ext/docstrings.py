"""Sections of numpydoc docstrings, and the comments of fields."""

import ast
import inspect
import re

_TITLE = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.M)


def sections(doc: str | None) -> dict[str, str]:
    """Text of each section by its title."""
    parts = _TITLE.split(inspect.cleandoc(doc or "") + "\n")
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def field_comments(source: str) -> dict[str, str]:
    """What ``#:`` says of each field of a class, in the lines above it or in its own."""
    lines = source.splitlines()
    found: dict[str, str] = {}
    for field in ast.walk(ast.parse(source)):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            first = field.lineno - 1
            while lines[first - 1].lstrip().startswith("#:"):
                first -= 1
            said = [line.partition("#:")[2].strip() for line in lines[first : field.end_lineno]]
            found[field.target.id] = " ".join(filter(None, said))
    return {name: text for name, text in found.items() if text}
