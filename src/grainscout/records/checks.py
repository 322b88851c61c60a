"""Results of a conformance suite, of policies or microscopes."""

from __future__ import annotations

from dataclasses import dataclass

from grainscout.records.errors import GrainscoutError

#: Errors that an object under test may raise by mistake. Interrupts and memory errors pass through.
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
    """One check of a conformance suite.

    Attributes
    ----------
    name : str
        Name of the check.
    passed : bool
        True if it passed.
    message : str
        What was wrong.
    about : str
        What the check is about.
    """

    name: str
    passed: bool
    message: str = ""
    about: str = ""
