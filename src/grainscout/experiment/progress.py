"""Progress of a run or a campaign, in a notebook and on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grainscout.experiment.bookkeeping import Step
from grainscout.experiment.outcomes import costs


@contextmanager
def progress_bar(
    total: int | None, what: str = "curves", done: int = 0, console: Console | None = None
) -> Iterator[Callable[..., None]]:
    """Show the progress of what is done within.

    It needs no widgets in a notebook.

    >>> with progress_bar(12) as bar:  # doctest: +SKIP
    ...     result = Experiment(..., observe=bar).run()
    >>> with progress_bar(len(plan.cells()), "cells") as bar:  # doctest: +SKIP
    ...     run_campaign(plan, store, progress=bar)

    Parameters
    ----------
    total : int, optional
        Number of curves or cells, if it is known.
    what : str
        Their name.
    done : int
        Number of those done before.
    console : Console, optional
        Where the bar of a terminal is. Default the error stream.

    Yields
    ------
    callable
        For ``observe`` of an `Experiment`, where it counts as the budget does, or ``progress`` of
        ``run_campaign``.
    """
    notebook = "ipykernel" in sys.modules and console is None
    show, end = _in_notebook(what) if notebook else _on_terminal(what, console)

    def tick(*told: Any) -> None:
        nonlocal done
        done += sum(map(costs, told[0].outcomes)) if told and isinstance(told[0], Step) else 1
        # Points that the operator added go beyond the budget.
        show(done, None if total is None else max(total, done))

    show(done, total)
    try:
        yield tick
    finally:
        end()


_Shown = tuple[Callable[[int, int | None], Any], Callable[[], Any]]


def _in_notebook(what: str) -> _Shown:
    shown: Any = import_module("IPython.display")  # its functions have no types
    handle: Any = None

    def show(done: int, total: int | None) -> None:
        nonlocal handle
        bar = "" if total is None else f'<progress value="{done}" max="{total}"></progress> '
        drawn = shown.HTML(f"{bar}{done}{'' if total is None else f' of {total}'} {escape(what)}")
        if handle is None:
            handle = shown.display(drawn, display_id=True)
        else:
            handle.update(drawn)

    return show, lambda: None


def _on_terminal(what: str, console: Console | None) -> _Shown:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    bar = Progress(*columns, TimeRemainingColumn(), console=console or Console(stderr=True))
    row = bar.add_task(what, total=None)
    bar.start()
    return lambda done, total: bar.update(row, completed=done, total=total), bar.stop
