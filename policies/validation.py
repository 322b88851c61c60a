"""Options of policies and their checks."""

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from grainscout.records import ConfigError, one_of


def option(
    default: bool | int | float | str,
    *,
    choices: Sequence[str] = (),
    low: float = -math.inf,
    high: float = math.inf,
    unit: str = "",
) -> Any:
    """A dataclass field with a check, which `check_options` runs.

    The type of the default says what is allowed: a flag, a whole number (by default at least 0), a
    finite number, or one of the choices. `low` and `high` are included, `unit` is for the message.
    """
    check: partial[None] = partial(check_number, low=low, high=high, unit=unit)
    if isinstance(default, bool):
        check = partial(check_flag)
    elif isinstance(default, int):
        check = partial(check_count, low=max(0, low))
    elif isinstance(default, str):
        check = partial(one_of, known=choices)
    return dataclasses.field(default=default, metadata={"check": check})


def check_options(made: Any) -> None:
    """Check every `option` of a dataclass. ConfigError for the first that is not allowed."""
    for f in dataclasses.fields(made):
        if "check" in f.metadata:
            f.metadata["check"](f.name, getattr(made, f.name))


def check_count(name: str, value: object, *, low: float = 0) -> None:
    """ConfigError unless `value` is a whole number, at least `low`."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not low <= value:  # type: ignore[operator]
        raise ConfigError(f"{name} must be a whole number, at least {low}; got {value!r}")


def check_number(
    name: str, value: object, *, low: float = -math.inf, high: float = math.inf, unit: str = ""
) -> None:
    """ConfigError unless `value` is a finite number in [low, high]."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = number and math.isfinite(value) and low <= value <= high  # type: ignore[arg-type, operator]
    if not fits:
        bracket = "(" if low == -math.inf else "["
        close = ")" if high == math.inf else "]"
        raise ConfigError(
            f"{name} must be a number in {bracket}{low:g}, {high:g}{close}"
            f"{f' [{unit}]' if unit else ''}; got {value!r}"
        )


def check_flag(name: str, value: object) -> None:
    """ConfigError unless `value` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false; got {value!r}")
