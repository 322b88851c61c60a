"""Microscopes by name; nothing is imported before it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from grainscout.hardware.protocol import Microscope
from grainscout.records import ConfigError

GROUP = "grainscout.microscopes"

#: name -> "module:callable"; the callable takes the options as keywords and gives a Microscope.
_BUILT_IN = {
    "aecroscopy": "grainscout.hardware.adapters.asylum.aecroscopy:open_aecroscopy",
    "aespm": "grainscout.hardware.adapters.asylum.aespm:open_aespm",
    "nanonis": "grainscout.hardware.adapters.nanonis.microscope:open_nanonis",
    "simulated": "grainscout.hardware.open_simulated:open_simulated",
    "replay": "grainscout.hardware.replay:open_replay",
    "source-meter": "grainscout.hardware.adapters.visa.source_meter:open_source_meter",
}


def microscope_names() -> list[str]:
    """Names that `make_microscope` knows, third parties' included."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def make_microscope(name: str, options: Mapping[str, Any] | None = None) -> Microscope:
    """The microscope of that name with these options.

    Third parties register a callable under the entry point group ``grainscout.microscopes``.
    ConfigError lists the known names, or the known options if one is unknown or missing.
    """
    opener = _opener(name)
    given = dict(options or {})
    known = {
        k: p
        for k, p in inspect.signature(opener).parameters.items()
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    }
    free = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(opener).parameters.values())
    unknown = [] if free else sorted(set(given) - set(known))
    missing = [k for k, p in known.items() if p.default is p.empty and k not in given]
    for problem, names in (("unknown", unknown), ("missing", missing)):
        if names:
            raise ConfigError(
                f"microscope {name!r} has {problem} option{'s' * (len(names) > 1)} "
                f"{', '.join(names)}; its options are {', '.join(known) or 'none'}"
            )
    microscope: Microscope = opener(**given)
    return microscope


def _opener(name: str) -> Callable[..., Any]:
    opener: Callable[..., Any]
    try:
        if name in _BUILT_IN:
            module, attribute = _BUILT_IN[name].split(":")
            opener = getattr(import_module(module), attribute)
            return opener
        for point in entry_points(group=GROUP):
            if point.name == name:
                opener = point.load()
                return opener
    except ImportError as error:
        raise ConfigError(
            f"microscope {name!r} needs a package that is not installed here: {error}"
        ) from error
    raise ConfigError(f"microscope must be one of {', '.join(microscope_names())}; got {name!r}")
