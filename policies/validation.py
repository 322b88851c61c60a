"""Checks that policies run on their options; every message says expected, found and mending."""

from __future__ import annotations

import math
from collections.abc import Sequence

from grainscout.records import ConfigError
from grainscout.records.registry import closest


def check_count(name: str, value: object, *, low: int = 0, high: int | None = None) -> None:
    """ConfigError unless `value` is a whole number in [low, high]."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not low <= value or (high is not None and value > high):  # type: ignore[operator]
        wanted = f"at least {low}" if high is None else f"{low} to {high}"
        raise ConfigError(f"{name} must be a whole number, {wanted}; got {value!r}")


def check_number(
    name: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    unit: str = "",
    above: bool = False,
) -> None:
    """ConfigError unless `value` is a finite number in [low, high], or in (low, high] if `above`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = number and math.isfinite(value) and low <= value <= high  # type: ignore[arg-type, operator]
    if not fits or (above and value == low):
        bracket = "(" if above or low == -math.inf else "["
        close = ")" if high == math.inf else "]"
        raise ConfigError(
            f"{name} must be a number in {bracket}{low:g}, {high:g}{close}"
            f"{f' [{unit}]' if unit else ''}; got {value!r}"
        )


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(
            f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}"
            f"{closest(str(value), choices)}"
        )


def check_flag(name: str, value: object) -> None:
    """ConfigError unless `value` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false; got {value!r}")
