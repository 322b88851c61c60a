"""Checks of an instrument's settings."""

import math

from grainscout.records import ConfigError


def positive(spec: object, **units: str) -> None:
    """ConfigError unless settings are None or > 0."""
    _check(spec, units, strict=True)


def non_negative(spec: object, **units: str) -> None:
    """ConfigError unless settings are None or >= 0."""
    _check(spec, units, strict=False)


def _check(spec: object, units: dict[str, str], *, strict: bool) -> None:
    for name, unit in units.items():
        value = getattr(spec, name)
        if value is None or (math.isfinite(value) and value >= 0 and not (strict and value == 0)):
            continue
        sign = ">" if strict else ">="
        where = f"{type(spec).__name__} {name}"
        raise ConfigError(f"{where} must be finite and {sign} 0 {unit}; got {value}")
