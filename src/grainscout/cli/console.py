"""What all commands print with."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console()
#: For what must not stand among results: they can then be piped.
notes = Console(stderr=True)


def fail(message: str) -> None:
    """One clear message on the error stream."""
    notes.print(f"[bold red]error:[/] {message.replace('[', chr(92) + '[')}", soft_wrap=True)


def progress() -> Progress:
    """The house's progress bar; on the error stream, so that results can be piped."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes,
    )
