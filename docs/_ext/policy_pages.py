"""Page of all registered policies: description, source, options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from docstrings import field_comments, sections

from grainscout.policies.registry import BUILTIN, policy_class, policy_options

_LIU = "Liu et al. 2023"
_GONG = "Gong et al. 2026"
_OWN = "this project"
#: Publication of each policy's idea.
SOURCES = {
    "random": "the baseline of any search",
    "grid": "force-volume mapping",
    "sobol": "Sobol' 1967, with the scrambling of Owen 1995",
    "farthest-point": "Gonzalez 1985",
    "kriging": "Krige 1951, Matheron 1963",
    "dkl": f"{_LIU}, with our closed-form engine",
    "dual-novelty": f"{_GONG}, with options for the choices that the paper leaves open",
    "map": _OWN,
    "scout": _OWN,
    "boundary-dkl": f"{_LIU}, “Res-DKL”",
    "transfer-dkl": f"{_LIU}, last figure",
    "co-navigation": "Yang et al. 2023, MRS Bulletin",
    "beacon": "Tang, Chakrabarty and Paulson 2024",
    "curiosity": "Vatsavai et al. 2025",
    "structured-gp": "Ziatdinov, Ghosh and Kalinin 2022, Yang et al. 2023",
    "hypothesis": "Ziatdinov et al. 2022, Adv. Mater. 34, 2201345",
    "policy-search": "direct policy search by CMA-ES: Heidrich-Meisner and Igel 2009",
    "shuffled-dkl": f"control, {_OWN}",
    "structure-only": f"control, {_OWN}",
    "stratified-random": f"control, {_OWN}",
    "oracle": f"control, {_OWN}",
}

_INTRODUCTION = """
The registry makes this page when the manual is built. An option is a key of the table ``[policy] options`` of an
experiment or campaign file, or of the mapping for :func:`grainscout.policies.make_policy`. The optimisers of other
packages (``peer-atomai``, ``peer-ax``, ``peer-baybe``, ``peer-botorch``, ``peer-botorch-robust``, ``peer-gpcam``) are available where their package is installed.

Liu et al. 2023 is *J. Phys. Chem. Lett.* 14, 3352. A *control* does not compete: a claim such as "it finds boundaries"
holds only if the control does not do the same.
"""


def meanings(name: str) -> dict[str, str]:
    """Meaning of each described option."""
    factory = policy_class(name)
    classes = reversed(inspect.getmro(factory)) if inspect.isclass(factory) else ()
    found: dict[str, str] = {}
    for source in getattr(factory, "sources", classes):
        if dataclasses.is_dataclass(source):
            found |= field_comments(inspect.getsource(source))
    return {option: found[option] for option in policy_options(name) if option in found}


def page() -> str:
    """Page as reStructuredText."""
    lines = [*_title("Policies", "="), _INTRODUCTION, "", *_summary()]
    for name in BUILTIN:
        lines += _section(name)
    return "\n".join(lines) + "\n"


def _title(text: str, mark: str) -> list[str]:
    return [text, mark * len(text), ""]


def _summary() -> Iterator[str]:
    yield from [".. list-table::", "   :header-rows: 1", ""]
    yield from ["   * - policy", "     - description", "     - source"]
    for name in BUILTIN:
        yield f"   * - :ref:`{name} <policy-{name}>`"
        yield f"     - {' '.join(_text(name)[''].split(chr(10) * 2)[0].split())}"
        yield f"     - {SOURCES[name]}"
    yield ""


def _section(name: str) -> Iterator[str]:
    yield from ["", f".. _policy-{name}:", "", *_title(name, "-")]
    text = _text(name)
    yield from [text[title] for title in ("", "Notes", "References") if title in text]
    yield from ["", f"*Source:* {SOURCES[name]}.", ""]
    described = meanings(name)
    yield from [".. list-table::", "   :header-rows: 1", "   :widths: 18 20 62", ""]
    yield from ["   * - option", "     - default", "     - meaning"]
    for option, default in policy_options(name).items():
        yield f"   * - ``{option}``"
        yield f"     - {_default(default)}"
        yield f"     - {described.get(option, '')}"
    yield ""


def _text(name: str) -> dict[str, str]:
    return sections(policy_class(name).__doc__)


def _default(value: Any) -> str:
    if value == "":
        return "empty"
    return "none" if value is None else f"``{value!r}``".replace("'", '"')
