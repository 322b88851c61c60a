"""What a conformance suite says, of policies and of microscopes alike."""

from __future__ import annotations

from dataclasses import dataclass

from grainscout.records.errors import GrainscoutError

#: What an object under test may raise by mistake; interrupts and memory errors pass through.
MISTAKES = (
    GrainscoutError,
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,
)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check: its name, whether it passed, what was wrong, and what the check is about."""

    name: str
    passed: bool
    message: str = ""
    about: str = ""
