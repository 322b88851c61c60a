"""All errors that Grainscout raises on purpose, and the results of a conformance suite."""

from dataclasses import dataclass


class GrainscoutError(Exception):
    """Base of all errors. The command line shows their message, no traceback."""

    exit_status = 1


class ConfigError(GrainscoutError, ValueError):
    """A setting, option or argument is not usable (exit status 2)."""

    exit_status = 2


class DataError(GrainscoutError, ValueError):
    """A file or an array is unreadable, truncated or of the wrong form."""


class LimitError(GrainscoutError):
    """A command would exceed a limit of the microscope. It was not issued."""


class MicroscopeError(GrainscoutError):
    """The microscope failed, refused, or did not answer in time."""


class NotSentError(MicroscopeError):
    """A command cannot be sent at all: no image, no connection, no such waveform. Nothing moved."""


class PolicyError(GrainscoutError):
    """A policy broke its protocol or cannot work on this problem."""


class JournalError(GrainscoutError):
    """A journal is damaged, foreign or of another experiment."""


class LinkError(GrainscoutError):
    """The remote link failed or a peer broke its protocol."""


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
