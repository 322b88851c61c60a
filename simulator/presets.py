"""Named films."""

from __future__ import annotations

from dataclasses import replace

from grainscout.records import ConfigError
from grainscout.simulator.blend import TransportSpec
from grainscout.simulator.spec import FilmSpec, GrainSpec, ScanSpec, TopographySpec

_REFERENCE = FilmSpec()

#: name -> specification; "reference" is 128 x 128 pixels of 20 nm, in the likeness of S26.
PRESETS: dict[str, FilmSpec] = {
    "reference": _REFERENCE,
    "tiny": replace(_REFERENCE, rows=48, columns=48),
}


def preset(name: str) -> FilmSpec:
    """The named specification; ConfigError lists the names if there is no such film."""
    if name not in PRESETS:
        raise ConfigError(f"film preset must be one of {', '.join(PRESETS)}; got {name!r}")
    return PRESETS[name]


__all__ = [
    "PRESETS",
    "FilmSpec",
    "GrainSpec",
    "ScanSpec",
    "TopographySpec",
    "TransportSpec",
    "preset",
]
