"""The reference: one page for each public module, filled from its docstrings by autodoc."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
#: Public modules that have no ``__all__`` of their own.
PLAIN = (
    "grainscout.analysis.curves.archetypes",
    "grainscout.analysis.curves.characterisation",
    "grainscout.analysis.curves.descriptors",
    "grainscout.analysis.curves.forc",
    "grainscout.analysis.diversity",
    "grainscout.analysis.forensics",
    "grainscout.analysis.metrics",
    "grainscout.records.errors",
    "grainscout.records.streams",
)
#: module -> what to read beside it (MyST; relative to the generated pages).
BESIDE = {
    "grainscout.records": "The nouns of every room.",
    "grainscout.simulator": "Explained in [A film and its truth](../concepts/film.md) and [Films](../manual/films.md).",
    "grainscout.policies": "Each policy and its options: [Policies](policies.rst).",
    "grainscout.hardware": "Explained in [Guard and limits](../concepts/guard.md).",
    "grainscout.hardware.remote": "Explained in [The policy on another machine](../howto/remote.md).",
    "grainscout.experiment": "Explained in [Ask and tell](../concepts/policy.md).",
    "grainscout.benchmarks": "Explained in [Campaigns](../manual/campaigns.md).",
    "grainscout.benchmarks.regression": "Explained in [Did a change make a model worse?](../manual/regress.md).",
    "grainscout.analysis": "The sub-modules have pages of their own.",
    "grainscout.analysis.curves.archetypes": "Explained in [Archetypes and descriptors](../concepts/curves.md).",
    "grainscout.analysis.curves.descriptors": "Explained in [Archetypes and descriptors](../concepts/curves.md).",
    "grainscout.analysis.figures": "Shown in the [gallery](../gallery.md).",
    "grainscout.analysis.forensics": "Used in [Forensics of a run](../tutorials/forensics.md).",
    "grainscout.analysis.formats": "Explained in [My own data](../howto/data.md).",
    "grainscout.analysis.metrics": "Explained in [Campaign and verdict](../concepts/campaign.md).",
    "grainscout.analysis.statistics": "Explained in [Campaign and verdict](../concepts/campaign.md).",
}


def modules() -> list[str]:
    """Every public package and module that says what is public in it (``__all__``), and `PLAIN`.

    Modules inside a package are described by what their package hands on.
    """
    packages = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    named = {p for p in packages if getattr(import_module(p), "__all__", ())}
    return sorted(named - {"grainscout.cli"} | set(PLAIN))


def pages() -> dict[str, str]:
    """File name -> MyST page; the first is the table of contents."""
    names = modules()
    contents = (
        "# Reference\n\nEverything public, from its docstrings. Units are SI unless a name or a "
        "docstring says otherwise.\n\n```{toctree}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"
    )
    found = {"reference.md": contents}
    for module in names:
        directive = f"```{{eval-rst}}\n.. automodule:: {module}\n```"
        words = BESIDE.get(module, "")
        found[f"{module}.md"] = f"# {module}\n\n{words}\n\n{directive}\n"
    return found
