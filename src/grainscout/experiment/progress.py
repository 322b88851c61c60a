"""Progress of a run or a campaign, in a notebook and on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from grainscout.experiment.bookkeeping import Step


@contextmanager
def progress_bar(total: int, what: str = "curves") -> Iterator[Callable[..., None]]:
    """Show the progress of what is done within.

    It needs no widgets in a notebook.

    >>> with progress_bar(12) as bar:  # doctest: +SKIP
    ...     result = Experiment(..., observe=bar).run()
    >>> with progress_bar(len(plan.cells()), "cells") as bar:  # doctest: +SKIP
    ...     run_campaign(plan, store, progress=bar)

    Parameters
    ----------
    total : int
        Number of curves or cells.
    what : str
        Their name.

    Yields
    ------
    callable
        For ``observe`` of an `Experiment` or ``progress`` of ``run_campaign``.
    """
    done = 0
    show, end = (_in_notebook if "ipykernel" in sys.modules else _on_terminal)(total, what)

    def tick(*told: Any) -> None:
        nonlocal done
        done += len(told[0].outcomes) if told and isinstance(told[0], Step) else 1
        show(done)

    try:
        yield tick
    finally:
        end()


_Shown = tuple[Callable[[int], Any], Callable[[], Any]]


def _in_notebook(total: int, what: str) -> _Shown:
    from IPython.display import HTML, display

    def drawn(done: int) -> Any:
        bar = f'<progress value="{done}" max="{max(total, done)}"></progress>'
        return HTML(f"{bar} {done} of {total} {escape(what)}")

    handle = display(drawn(0), display_id=True)
    return lambda done: handle.update(drawn(done)), lambda: None


def _on_terminal(total: int, what: str) -> _Shown:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True))
    row = bar.add_task(what, total=total)
    bar.start()
    return lambda done: bar.update(row, completed=done), bar.stop
