"""Terminal output of all commands, without markup."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from grainscout.records import ConfigError

#: A shell command of a notebook has a terminal that shows control codes as text.
_TERMINAL = False if "JPY_PARENT_PID" in os.environ else None
#: Results. Brackets in a message or a name, as in ``grainscout[watch]``, are no markup.
console = Console(markup=False, emoji=False, force_terminal=_TERMINAL)
#: The error stream, for everything that is no result, so that results can be piped.
notes = Console(stderr=True, markup=False, emoji=False, force_terminal=_TERMINAL)


def note(message: str) -> None:
    """Print a remark on the error stream, unwrapped."""
    notes.print(message, soft_wrap=True)


def fail(message: str, status: int) -> NoReturn:
    """Print an error message and exit."""
    notes.print(Text("error:", "bold red"), message, soft_wrap=True)
    sys.exit(status)


@contextmanager
def extra(name: str, *packages: str) -> Iterator[None]:
    """ConfigError that names the extra, for an import within that lacks one of the packages."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in packages:
            raise
        raise ConfigError(
            f"this command needs the package {package}, which is not installed: "
            f"pip install 'grainscout[{name}]'"
        ) from error
