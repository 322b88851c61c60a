"""Every registered policy as a page: what it is, where it comes from, its options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from docstrings import items, paragraphs, restructured
from numpy_sections import parameters, sections

from grainscout.policies.registry import BUILTIN, policy_class, policy_options

_S23 = "Liu et al. 2023 (S23)"
_S26 = "Gong et al. 2026 (S26)"
_OWN = "this project"
#: name -> where the idea was published; the options that the paper leaves open are ours.
SOURCES = {
    "random": "the baseline of any search",
    "grid": "force-volume mapping",
    "sobol": "Sobol' 1967; scrambling: Owen 1995",
    "farthest-point": "Gonzalez 1985",
    "kriging": "Krige 1951; Matheron 1963",
    "dkl": f"{_S23}; the closed-form engine is ours",
    "dual-novelty": f"{_S26}; the choices that the paper leaves open are options",
    "scout": _OWN,
    "boundary-dkl": f"{_S23}, “Res-DKL”",
    "transfer-dkl": f"{_S23}, last figure",
    "co-navigation": "Yang et al. 2023, MRS Bulletin",
    "beacon": "Tang, Chakrabarty and Paulson 2024",
    "curiosity": "Vatsavai et al. 2025",
    "structured-gp": "Ziatdinov, Ghosh and Kalinin 2022; Yang et al. 2023",
    "hypothesis": "Ziatdinov et al. 2022, Adv. Mater. 34, 2201345",
    "shuffled-dkl": f"control; {_OWN}",
    "structure-only": f"control; {_OWN}",
    "stratified-random": f"control; {_OWN}",
    "oracle": f"control; {_OWN}",
}

_INTRODUCTION = """
Made from the registry when this manual is built. An option is a key of the table ``[policy] options``
of an experiment or campaign file, or of the mapping given to
:func:`grainscout.policies.make_policy`. Other people's optimisers (``peer-atomai``, ``peer-ax``,
``peer-baybe``, ``peer-botorch``) are known where their package is installed.

S23 is Liu et al. 2023, *J. Phys. Chem. Lett.* 14, 3352; S26 is Gong et al. 2026. A *control* is no
competitor: a claim such as "it finds boundaries" stands only against it.
"""


def meanings(name: str) -> dict[str, str]:
    """Option -> what its class, or the nearest base class that describes it, says of it."""
    found: dict[str, str] = {}
    factory = policy_class(name)
    classes = reversed(inspect.getmro(factory)) if inspect.isclass(factory) else ()
    for cls in getattr(factory, "sources", classes):
        found |= parameters(cls.__doc__)
        if dataclasses.is_dataclass(cls) and cls.__doc__:
            for block in paragraphs(inspect.cleandoc(cls.__doc__).splitlines()):
                for names, meaning in items(block):
                    found |= dict.fromkeys(names.split(", "), meaning)
    return {option: found[option] for option in policy_options(name) if option in found}


def page() -> str:
    """The page as reStructuredText."""
    lines = [*_title("Policies", "="), _INTRODUCTION, "", *_summary()]
    for name in BUILTIN:
        lines += _section(name)
    return "\n".join(lines) + "\n"


def _title(text: str, mark: str) -> list[str]:
    return [text, mark * len(text), ""]


def _summary() -> Iterator[str]:
    yield from [".. list-table::", "   :header-rows: 1", ""]
    yield from ["   * - policy", "     - what it does", "     - source"]
    for name in BUILTIN:
        first = " ".join(restructured(_doc(name).split("\n\n")[0].splitlines())).strip()
        yield f"   * - :ref:`{name} <policy-{name}>`"
        yield f"     - {first}"
        yield f"     - {SOURCES[name]}"
    yield ""


def _section(name: str) -> Iterator[str]:
    yield from ["", f".. _policy-{name}:", "", *_title(name, "-")]
    text = sections(_doc(name))
    described = [b for b in paragraphs(text.pop("").splitlines()) if not _options(b)]
    for block in described:
        yield from [*restructured(block.splitlines()), ""]
    for title in ("Notes", "References"):
        yield from [text[title], ""] if title in text else []
    yield from [f"*Source:* {SOURCES[name]}.", ""]
    told = meanings(name)
    yield from [".. list-table::", "   :header-rows: 1", "   :widths: 18 20 62", ""]
    yield from ["   * - option", "     - default", "     - what it is"]
    for option, default in policy_options(name).items():
        yield f"   * - ``{option}``"
        yield f"     - {_default(default)}"
        yield f"     - {told.get(option, '')}"
    yield ""


def _doc(name: str) -> str:
    return inspect.cleandoc(policy_class(name).__doc__ or "")


def _options(block: str) -> bool:
    """Whether a block is the title or the list of options, which the table says."""
    return bool(items(block)) or block.startswith("Options\n---")


def _default(value: Any) -> str:
    if value == "":
        return "empty"
    return "none" if value is None else f"``{value!r}``".replace("'", '"')
