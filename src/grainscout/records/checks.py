"""Results of a conformance suite, of policies or microscopes."""

from dataclasses import dataclass

from grainscout.records.errors import GrainscoutError

#: Errors that an object under test may raise by mistake. Interrupts and memory errors pass through.
MISTAKES = (
    *(GrainscoutError, ArithmeticError, AttributeError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, Warning),
)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check of a conformance suite."""

    name: str
    passed: bool
    message: str = ""  #: What was wrong, or why nothing was checked
    about: str = ""  #: What the check is about
    checked: bool = True  #: False if there was nothing to check, or no way


class NotChecked(Exception):
    """Raised by a check that has nothing to check. Its text says why."""
