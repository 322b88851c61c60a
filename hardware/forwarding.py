"""Optional methods of a microscope behind a guard."""

from typing import TypeVar

from grainscout.hardware.protocol import (
    Microscope,
    SupportsContact,
    SupportsFaults,
    SupportsImageBias,
    SupportsLook,
    SupportsPlan,
    SupportsSettings,
    SupportsWear,
)
from grainscout.records import MicroscopeError, PackedState
from grainscout.records.supports import SupportsState, supports

T = TypeVar("T")

#: Optional protocols whose methods a guard forwards to its microscope.
_FORWARDED: tuple[type, ...] = (
    *(SupportsState, SupportsWear, SupportsFaults, SupportsImageBias),
    *(SupportsLook, SupportsPlan, SupportsSettings, SupportsContact),
)


class Forwarding:
    """Forwards optional methods. MicroscopeError if the microscope lacks one: `unsupported` names those."""

    def __init__(self, microscope: Microscope) -> None:
        self.microscope = microscope
        self.unsupported = frozenset(
            name
            for protocol in _FORWARDED
            if not supports(microscope, protocol)
            for name in vars(protocol)
            if not name.startswith("_")
        )

    def optional(self, protocol: type[T]) -> T:
        """Return the microscope as one that has a protocol."""
        microscope: object = self.microscope
        if supports(microscope, protocol):
            return microscope
        raise MicroscopeError(
            f"this method needs a microscope that {protocol.__name__}; {type(microscope).__name__} does not"
        )

    def wear(self) -> float:
        """Return the tip's wear."""
        return self.optional(SupportsWear).wear()

    def faults(self) -> list[PackedState]:
        """Return the microscope's faults."""
        return self.optional(SupportsFaults).faults()

    def settings(self) -> PackedState:
        """Return what is set at the instrument."""
        return self.optional(SupportsSettings).settings()

    def contact(self) -> bool:
        """Tell if the tip may be in contact."""
        return self.optional(SupportsContact).contact()

    def landings(self) -> int:
        """Return the number of confirmed landings."""
        return self.optional(SupportsContact).landings()
