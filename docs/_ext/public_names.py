"""Sphinx extension that links types to public names."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Any

from docutils import nodes
from reference_pages import homes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def _docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape bars outside backticks, which docutils takes for substitutions."""
    for k, line in enumerate(lines):
        parts = re.split(r"(``.*?``|`.*?`)", line)
        lines[k] = "".join(p if p.startswith("`") else p.replace("|", r"\|") for p in parts)


@cache
def _object(target: str) -> object:
    """Object at a dotted path, or None."""
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def _public(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, child: nodes.TextElement
) -> nodes.Node | None:
    """Resolve a reference by the object's public name.

    An object of ours without a public name, and a type of another package, stays plain text. A
    wrong name is returned unresolved, which is a warning.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    thing = _object(target) if target.startswith("grainscout.") else None
    public = homes().get(id(thing), "") if thing is not None else ""
    if public:
        found = env.domains.python_domain.resolve_xref(
            env, node["refdoc"], app.builder, node.get("reftype", "obj"), public, node, child
        )
        if isinstance(found, nodes.reference):
            return found
    return child if thing is not None or node.source is None else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the extension; called by Sphinx."""
    app.connect("autodoc-process-docstring", _docstring, priority=100)  # before napoleon
    app.connect("missing-reference", _public)
    return {"parallel_read_safe": True}
