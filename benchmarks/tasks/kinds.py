"""Settings that differ from kind to kind: a small class for each kind."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from grainscout.records import ConfigError, closest

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Kinds:
    """Base of a family of dataclasses, one for each ``kind``.

    The family's name makes an instance of the right class, as ``pathlib.Path`` does:
    ``WaveformSpec(kind="forc", branches=5)`` is a ``Forc``. Pydantic reads a family as a union that
    is discriminated by ``kind``.
    """

    #: Noun for messages, such as "waveform".
    family: ClassVar[str]
    #: The kind of a table that names none.
    default_kind: ClassVar[str]
    #: Settings of some kinds that a table of any kind may hold: as stores were always written.
    shared: ClassVar[frozenset[str]] = frozenset()
    #: Settings of some kinds that a table of any kind may hold if they are empty.
    empty: ClassVar[frozenset[str]] = frozenset()
    kind: str

    def __new__(cls, **settings: Any) -> Self:
        """Choose the class. ConfigError names a setting that its kind has not, or lacks."""
        if not cls.is_family():
            return super().__new__(cls)
        chosen = cls.class_of(settings.get("kind", cls.default_kind))
        for name in settings:
            if name not in chosen.settings():
                raise ConfigError(f"{cls.family} {name} {chosen.foreign(name)}")
        for name, field in chosen.settings().items():
            optional = field.default is not MISSING or field.default_factory is not MISSING
            if name not in settings and not optional:
                raise ConfigError(f"{cls.family} {name} must be given for kind {chosen.kind!r}")
        return super().__new__(chosen)

    @classmethod
    def is_family(cls) -> bool:
        """True for the family, False for the class of one kind."""
        return Kinds in cls.__bases__

    @classmethod
    def classes(cls) -> dict[str, type[Self]]:
        """Kind -> its class."""
        return {member.kind: member for member in cls.__subclasses__()}

    @classmethod
    def class_of(cls, kind: object) -> type[Self]:
        """The class of a kind. ConfigError lists the kinds if there is none."""
        classes = cls.classes()
        if not isinstance(kind, str) or kind not in classes:
            names = ", ".join(map(repr, classes))
            raise ConfigError(
                f"{cls.family} kind must be one of {names}; got {kind!r}{closest(str(kind), classes)}"
            )
        return classes[kind]

    @classmethod
    def settings(cls) -> dict[str, Field[Any]]:
        """Name -> field, ``kind`` among them."""
        return {field.name: field for field in fields(cast(Any, cls))}

    @classmethod
    def foreign(cls, name: str) -> str:
        """The end of a message about a setting that this kind has not."""
        known = [other for other in cls.settings() if other != "kind"]
        near = difflib.get_close_matches(name, known, 1)
        if near:
            return f"is not a key here; did you mean {near[0]}?"
        return f"is not a setting of kind {cls.kind!r}; it has {', '.join(known) or 'none'}"

    def stored(self) -> dict[str, Any]:
        """The settings as journals and campaign stores keep them."""
        return dict(vars(self))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """A union over the kinds. Its tags stand in <> so that messages can leave them out."""
        from pydantic_core import core_schema

        if not cls.is_family():
            return handler(source)
        members = {kind: handler.generate_schema(member) for kind, member in cls.classes().items()}
        return core_schema.tagged_union_schema(
            {f"<{kind}>": schema for kind, schema in members.items()}, discriminator=cls._tag
        )

    @classmethod
    def _tag(cls, value: Any) -> str:
        kind = value.get("kind", cls.default_kind) if isinstance(value, Mapping) else None
        kind = getattr(value, "kind", cls.default_kind) if kind is None else kind
        return f"<{cls.class_of(kind).kind}>"
