"""A Sphinx extension: docstrings in the house's style, and types as links to their public names."""

from __future__ import annotations

import re
from typing import Any

from docstrings import restructured
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def _docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if not any(t in ("Parameters", "Returns", "Attributes", "Raises") for t in lines):
        lines[:] = restructured(lines)


def _public(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, child: nodes.TextElement
) -> nodes.Node | None:
    """A type is known by its private module; its description is under the room's name.

    A type in a signature that is described nowhere stays plain text; a reference that somebody
    wrote is returned unresolved, and that is a warning.
    """
    if node.get("refdomain") != "py":
        return None
    public = re.sub(r"\._\w+", "", node.get("reftarget", ""))
    kind = node.get("reftype", "obj")
    found = env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, kind, public, node, child
    )
    if found is None and node.source is None:
        return child
    return found if isinstance(found, nodes.reference) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("missing-reference", _public)
    return {"parallel_read_safe": True}
