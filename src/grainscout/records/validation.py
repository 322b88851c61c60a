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
