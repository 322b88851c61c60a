"""Reference pages of the public modules."""

from __future__ import annotations

import inspect
import tomllib
from functools import cache
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
#: Related pages of each module (MyST, relative to the generated pages).
BESIDE = {
    "grainscout.records": "The data types of all packages.",
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
    """Public packages with ``__all__``, and the modules of `PLAIN`."""
    packages = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    named = {p for p in packages if getattr(import_module(p), "__all__", ())}
    return sorted(named - {"grainscout.cli"} | set(PLAIN))


@cache
def homes() -> dict[int, str]:
    """The one public name of each class and function."""
    found: dict[int, str] = {}
    for module in sorted(modules(), key=lambda m: m.count(".")):
        for name, thing in _members(module):
            own = getattr(thing, "__module__", "").startswith(module + ".")
            other = found.get(id(thing), "")
            if not other or (own and other.count(".") == module.count(".") + 1):
                found[id(thing)] = f"{module}.{name}"
    return found


def _members(module: str) -> list[tuple[str, object]]:
    package = import_module(module)
    names = getattr(package, "__all__", None) or [
        name for name, thing in vars(package).items() if getattr(thing, "__module__", "") == module
    ]
    members = [(name, getattr(package, name)) for name in names]
    return [m for m in members if inspect.isclass(m[1]) or inspect.isroutine(m[1])]


def pages() -> dict[str, str]:
    """MyST page of each file name."""
    names = modules()
    contents = (
        "# Reference\n\nEverything public, from its docstrings. Units are SI unless a name or a "
        "docstring says otherwise.\n\n```{toctree}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"
    )
    found = {"reference.md": contents}
    for module in names:
        package = import_module(module)
        elsewhere = [n for n, thing in _members(module) if homes()[id(thing)] != f"{module}.{n}"]
        elsewhere += [n for n in getattr(package, "__all__", ()) if f"{module}.{n}" in names]
        links = ", ".join(
            f"{{py:obj}}`{homes()[id(getattr(package, n))]}`"
            for n in elsewhere
            if id(getattr(package, n)) in homes()
        )
        also = f"Also here: {links}." if links else ""
        directive = f".. automodule:: {module}\n   :exclude-members: {', '.join(elsewhere)}"
        if not elsewhere:
            directive = directive.split("\n")[0]
        about = BESIDE.get(module, "")
        found[f"{module}.md"] = (
            f"# {module}\n\n{about}\n\n{also}\n\n```{{eval-rst}}\n{directive}\n```\n"
        )
    return found
