"""Checks of settings."""

import math
from collections.abc import Mapping

from grainscout.records.errors import ConfigError


def in_range(where: str, value: float, low: float, high: float, unit: str = "") -> None:
    """ConfigError unless low <= value <= high."""
    if not (isinstance(value, (int, float)) and math.isfinite(value) and low <= value <= high):
        unit = f" {unit}" if unit else ""
        raise ConfigError(f"{where} must be {low:g} .. {high:g}{unit}; got {value}")


def in_ranges(where: str, settings: object, ranges: Mapping[str, tuple[float, float, str]]) -> None:
    """ConfigError unless each named attribute lies in its (low, high, unit)."""
    for name, (low, high, unit) in ranges.items():
        in_range(f"{where} {name}", getattr(settings, name), low, high, unit)


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
