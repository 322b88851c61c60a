"""Detection of the optional protocols of microscopes and policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from grainscout.records.encoding.packing import PackedState

if TYPE_CHECKING:
    from typing_extensions import TypeIs

T = TypeVar("T")


def supports(thing: object, protocol: type[T]) -> TypeIs[T]:
    """Tell if a microscope or policy can do what an optional protocol asks.

    A wrapper, such as a guard or a remote policy, has all optional methods. Its attribute
    ``unsupported`` names those that the object behind it lacks.
    """
    lacking = getattr(thing, "unsupported", ())
    return isinstance(thing, protocol) and not any(hasattr(protocol, name) for name in lacking)


@runtime_checkable
class SupportsState(Protocol):
    """A microscope or policy whose whole state can be stored."""

    def state(self) -> PackedState:
        """Everything that its later answers depend on, for ``records.pack``."""

    def restore(self, state: PackedState) -> None:
        """Continue bit for bit from `state`. Of a policy, after ``reset`` on the same problem."""
