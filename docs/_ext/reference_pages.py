"""The reference: one page for each public module, filled from its docstrings by autodoc."""

from __future__ import annotations

#: public module -> what to read beside it (MyST; relative to the generated pages).
MODULES = {
    "grainscout.records": "The nouns of every room.",
    "grainscout.simulator": "Explained in [A film and its truth](../concepts/film.md) and [Films](../manual/films.md).",
    "grainscout.simulator.instrument": "Explained in [Films](../manual/films.md).",
    "grainscout.policies": "Each policy and its options: [Policies](policies.rst).",
    "grainscout.hardware": "Explained in [Guard and limits](../concepts/guard.md).",
    "grainscout.hardware.link": "Explained in [The policy on another machine](../howto/remote.md).",
    "grainscout.journal": "What a run leaves behind.",
    "grainscout.experiment": "Explained in [Ask and tell](../concepts/policy.md).",
    "grainscout.benchmarks": "Explained in [Campaigns](../manual/campaigns.md).",
    "grainscout.benchmarks.regress": "Explained in [Did a change make a model worse?](../manual/regress.md).",
    "grainscout.config": "Files with units in their key names.",
    "grainscout.analysis": "The sub-modules have pages of their own.",
    "grainscout.analysis.archetypes": "Explained in [Kinds of curve](../concepts/curves.md).",
    "grainscout.analysis.characterisation": "Beyond the tip: lifetimes and cells.",
    "grainscout.analysis.descriptors": "Explained in [Kinds of curve](../concepts/curves.md).",
    "grainscout.analysis.diversity": "How different the measured things are.",
    "grainscout.analysis.figures": "Shown in the [gallery](../gallery.md).",
    "grainscout.analysis.forc": "Reversal families.",
    "grainscout.analysis.forensics": "Used in [Forensics of a run](../tutorials/forensics.md).",
    "grainscout.analysis.formats": "Explained in [My own data](../howto/data.md).",
    "grainscout.analysis.latent": "Maps of patches and curves.",
    "grainscout.analysis.metrics": "Explained in [Campaign and verdict](../concepts/campaign.md).",
    "grainscout.analysis.statistics": "Explained in [Campaign and verdict](../concepts/campaign.md).",
}


def pages() -> dict[str, str]:
    """File name -> MyST page; the first is the table of contents."""
    names = "\n".join(MODULES)
    contents = (
        "# Reference\n\nEverything public, from its docstrings. Units are SI unless a name or a "
        f"docstring says otherwise.\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"
    )
    found = {"reference.md": contents}
    for module, words in MODULES.items():
        directive = f"```{{eval-rst}}\n.. automodule:: {module}\n```"
        found[f"{module}.md"] = f"# {module}\n\n{words}\n\n{directive}\n"
    return found
