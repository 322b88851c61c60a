"""Factories by name: built in, from another package, or from a third party's entry point."""

import dataclasses
import difflib
import importlib
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from grainscout.records.errors import ConfigError

T = TypeVar("T")
#: Stands for the default of an option that has none.
REQUIRED = "required"
#: Types of plain values: what is one, and its name.
_PLAIN: dict[Any, tuple[Any, str]] = {
    str: (str, "a text"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    bool: (bool, "true or false"),
    Path: ((str, Path), "a file's name"),
    types.NoneType: (types.NoneType, ""),
}


def closest(name: str, known: Iterable[str]) -> str:
    """``" (closest: 'x')"``, or nothing if no known name is similar."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (closest: {match[0]!r})" if match else ""


def one_of(what: str, value: object, known: Collection[str], also: Iterable[str] = ()) -> None:
    """ConfigError, with the closest of `known` and `also`, for a value that is not in `known`."""
    if value not in known:
        raise ConfigError(
            f"{what} must be one of {', '.join(known)}; got {value!r}"
            f"{closest(str(value), [*known, *also])}"
        )


class Registry(Generic[T]):
    """Named classes or functions that make a `T`. Nothing is imported before it is asked for.

    `what` is the noun for the messages, and `group` the entry point group of third parties.
    `builtin` maps names to ``"module:attribute"``, and `needs` maps names to the package without
    which that built-in one is not known.
    """

    def __init__(
        self,
        what: str,
        *,
        group: str,
        builtin: Mapping[str, str],
        needs: Mapping[str, str] | None = None,
    ) -> None:
        self.what, self.group = what, group
        self.builtin, self.needs = dict(builtin), dict(needs or {})

    def installed(self, name: str) -> bool:
        """True unless the name is built in and needs a package that is absent."""
        return name not in self.needs or find_spec(self.needs[name]) is not None

    def names(self) -> list[str]:
        """Sorted names: built in where installed, and third parties'."""
        return sorted([*filter(self.installed, self.builtin), *self.third_party()])

    def find(self, name: str) -> Callable[..., T]:
        """The factory of that name. ConfigError if there is none or it cannot be loaded."""
        # Installed packages are searched for names that are not our own only: it takes milliseconds.
        outside = {} if name in self.builtin else self.third_party()
        if not self.installed(name):
            raise ConfigError(
                f"{self.what} {name!r} needs the package {self.needs[name]!r}, which is not installed"
            )
        if name not in self.builtin and name not in outside:
            names = self.names()
            raise ConfigError(
                f"{self.what} must be one of {', '.join(names)}; got {name!r}{closest(name, names)}"
            )
        try:
            if name in outside:
                found: object = outside[name].load()
            else:
                module, attribute = self.builtin[name].split(":")
                found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{self.what} {name!r} cannot be loaded: {error}. Install what it needs, or repair "
                f"its entry point in the group {self.group!r}"
            ) from error
        if not callable(found):
            raise ConfigError(
                f"{self.what} {name!r} must be callable; its entry point is {found!r}"
            )
        return found

    def options(self, name: str) -> dict[str, Any]:
        """Option -> default. :data:`REQUIRED` where there is none."""
        return options_of(self.find(name))

    def make(self, name: str, options: Mapping[str, Any] | None = None) -> T:
        """A `T` of that name.

        ConfigError for an unknown name, an unknown or missing option, or a value that is refused.
        """
        return self.checked(name, options)(**(options or {}))

    def checked(self, name: str, options: Mapping[str, Any] | None = None) -> Callable[..., T]:
        """The factory of that name. ConfigError for an option that it lacks, misses or cannot take."""
        factory, given = self.find(name), dict(options or {})
        known = options_of(factory)
        listing = ", ".join(f"{k} = {v!r}" if v is not REQUIRED else k for k, v in known.items())
        for option in () if takes_any(factory) else given:
            if option not in known:
                raise ConfigError(
                    f"{self.what} {name!r} has no option {option!r}{closest(option, known)}; its "
                    f"options are: {listing or 'none'}"
                )
        missing = [k for k, v in known.items() if v is REQUIRED and k not in given]
        if missing:
            raise ConfigError(
                f"{self.what} {name!r} must be given {', '.join(missing)}; its options are: {listing}"
            )
        hints = _types_of(factory)
        for option, value in given.items():
            if wanted := _refused(hints.get(option), value):
                raise ConfigError(
                    f"{self.what} {name!r} must be given {option} as {wanted}; got {value!r:.80}"
                )
        return factory

    def third_party(self) -> dict[str, EntryPoint]:
        """Entry points of the group. ConfigError for a name that two of them or we ourselves use."""
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            other = found.get(point.name)
            if point.name in self.builtin or (other is not None and other.value != point.value):
                rival = f"a built-in {self.what}" if other is None else other.value
                raise ConfigError(
                    f"{self.what} name {point.name!r} must be unique; the entry point {point.value} "
                    f"and {rival} both claim it. Uninstall or rename one of them"
                )
            found[point.name] = point
        return found


def options_of(factory: Callable[..., object]) -> dict[str, Any]:
    """Option -> default of a dataclass's fields or a function's parameters."""
    if dataclasses.is_dataclass(factory):
        return {f.name: _default(f) for f in dataclasses.fields(factory) if f.init}
    return {
        p.name: REQUIRED if p.default is p.empty else p.default
        for p in inspect.signature(factory).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def _types_of(factory: Callable[..., object]) -> dict[str, Any]:
    """Option -> type. Empty where types are imported for type checkers only."""
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters
    except NameError:
        return {}
    return {name: p.annotation for name, p in parameters.items()}


def _refused(hint: Any, value: object) -> str:
    """What a value should have been. Empty if it is, or if the type is none of plain values."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if not all(kind in _PLAIN for kind in kinds):
        return ""
    fits = any(isinstance(value, _PLAIN[kind][0]) for kind in kinds)
    if fits and not (isinstance(value, bool) and bool not in kinds):
        return ""
    return " or ".join(name for kind in kinds if (name := _PLAIN[kind][1]))


def takes_any(factory: Callable[..., object]) -> bool:
    """True if the factory accepts keywords that it does not name."""
    parameters = inspect.signature(factory).parameters.values()
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return REQUIRED
