"""Microscopes by name, imported when they are first opened."""

from collections.abc import Mapping
from typing import Any

from grainscout.hardware.protocol import Microscope, Paper
from grainscout.records.registry import Registry

_REGISTRY: Registry[Microscope] = Registry(
    "microscope",
    group="grainscout.microscopes",
    builtin={
        "aecroscopy": "grainscout.hardware.adapters.asylum.aecroscopy:open_aecroscopy",
        "aespm": "grainscout.hardware.adapters.asylum.aespm:open_aespm",
        "batch": "grainscout.hardware.by_hand.folder:open_batch",
        "person": "grainscout.hardware.by_hand.page:open_person",
        "nanonis": "grainscout.hardware.adapters.nanonis.microscope:NanonisMicroscope",
        "simulated": "grainscout.hardware.simulated:open_simulated",
        "replay": "grainscout.hardware.replay:open_replay",
        "parts": "grainscout.hardware.adapters.parts:open_parts",
        "source-meter": "grainscout.hardware.adapters.parts:open_source_meter",
    },
)


def microscope_names() -> list[str]:
    """List the names that :func:`make_microscope` knows, third parties' included."""
    return _REGISTRY.names()


def make_microscope(name: str, options: Mapping[str, Any] | None = None) -> Microscope:
    """Open the microscope of that name with these options.

    Third parties register a callable under the entry point group ``grainscout.microscopes``.

    Raises
    ------
    ConfigError
        For an unknown name, an unknown or missing option, or a package that is not installed.
    """
    return _REGISTRY.make(name, options)


def paper_of(name: str, options: Mapping[str, Any] | None = None) -> Paper | None:
    """What is known of a microscope before it is opened. None if it does not say.

    A factory says it by an attribute ``on_paper`` that takes its options and gives a `Paper`. Nothing
    is connected.

    Raises
    ------
    ConfigError
        As `make_microscope`, for names and options.
    """
    factory: Any = _REGISTRY.checked(name, options)
    paper = getattr(factory, "on_paper", None)
    return None if paper is None else paper(**(options or {}))
