"""The middle: follows the journal, keeps the newest page, tells the viewers, passes on what they ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from grainscout.journal import Journal
from grainscout.records import GrainscoutError, JournalError, Proposal
from grainscout.records.arrays import IntArray
from grainscout.watch.explanations import Thinker, Thoughts
from grainscout.watch.journal_reader import Reader
from grainscout.watch.page_renderer import Page, Painter
from grainscout.watch.status import state_of

_LOOK_S = 0.2
_SHARE = 4.0  # rest at least so many times as long as an update took
_AGAIN_S = 5.0  # what depends on the time of day alone: silence, a killed run
_DOUBT_S = 3.0
_ASKS = ("pause", "resume", "abort", "veto")


class Hub:
    """The newest page of one run, and everyone who looks at it.

    control : whether viewers may pause, resume, abort and veto.
    maps : whether to make the policy's maps.
    Raises JournalError if the journal cannot be read at the beginning; later the page tells.
    """

    def __init__(self, path: Path, *, control: bool = False, maps: bool = True) -> None:
        self.path = path
        self.control = control
        self.viewers: set[asyncio.Event] = set()
        self._maps = maps
        self._reader = Reader(path)
        self.run = self._reader.update()
        self._painter = Painter(self.run, control=control)
        if not maps:
            self._painter.think(Thoughts(after=0, maps={}, trouble="not asked for"), self.run)
        self._hands = ThreadPoolExecutor(1, "watch")  # all reading and drawing, in order
        self._mind = ThreadPoolExecutor(1, "thoughts")
        self._thinker = Thinker(path)
        self._read, self._folded = time.monotonic(), False
        self.page = self._paint()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thinker.stop()
        self._mind.shutdown()
        self._thinker.close()
        self._hands.shutdown()

    def document(self) -> str:
        """The page as one document."""
        return self._painter.whole(self.page, self.run, self.path.name)

    def update(self) -> Page:
        """Read what is new and draw it: all the server's work for one measurement."""
        trouble = ""
        try:
            self.run = self._reader.update()
            self._read = time.monotonic()
        except JournalError as error:
            if time.monotonic() - self._read > _DOUBT_S:  # not merely a look in mid-commit
                trouble = f"This page no longer follows the run: {error}"
        self._fold()
        return self._paint(trouble)

    async def follow(self) -> None:
        """Keep the page new for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_on())
            if self._maps:
                tasks.create_task(self._think_on())

    async def answer(self, wish: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a viewer is answered: a measurement that it picked, or what came of its request."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._hands, self._answer, dict(wish))

    # ---- in the one thread that reads and draws -------------------------------------------------
    def _fold(self) -> None:
        """Mend what a look may have done: a run cannot fold its side files in while a reader is there."""
        beside = self.path.with_name(self.path.name + "-wal")
        if self._folded or state_of(self.run).name in ("starting", "running", "paused", "stopped"):
            return
        self._folded = True
        if beside.exists():
            with suppress(JournalError), Journal.open(self.path):
                pass

    def _answer(self, wish: dict[str, Any]) -> Mapping[str, Any]:
        try:
            if "ask" in wish:
                return {"reply": self._ask(wish.get("ask"), wish.get("id"))}
            waiting = self._picked_waiting(wish)
            if waiting is not None:
                return {"picked": self._painter.proposal(waiting, self.run)}
            number = self._picked(wish)
            outcome = None if number is None else self._reader.outcome(number)
            if number is None or outcome is None:
                return {"reply": "There is no such measurement yet."}
            shown = self._painter.measurement(outcome, number, self.run)
            return {"picked": shown, "number": number + 1}
        except GrainscoutError as error:
            return {"reply": str(error)}

    def _ask(self, kind: object, id_: object) -> str:
        if not self.control:
            return "This page is for looking only. Start the watch with --allow-control to ask."
        if kind not in _ASKS:
            return f"It can be asked to {', '.join(_ASKS)}."
        self.run = self._reader.update()
        if not state_of(self.run).going:
            return "The run has ended: nothing was asked."
        detail = {}
        if kind == "veto":
            if not isinstance(id_, str) or id_ not in {p.id for p in self.run.waiting}:
                return f"{id_!s:.40} is not waiting (any more): nothing was asked."
            detail["id"] = id_
        with Journal.open(self.path) as journal:
            journal.request(str(kind), **detail)
        return f"Asked: {kind}{' ' + detail['id'] if detail else ''}."

    def _picked(self, wish: Mapping[str, Any]) -> int | None:
        """The measurement of that number (from 1), or the newest at the site nearest to the place."""
        number, place, sites = wish.get("number"), _place(wish), self.run.sites
        if isinstance(number, int) and 0 < number <= len(sites):
            return number - 1
        if place is not None and len(sites):
            apart = _squares(sites, place)
            return len(apart) - 1 - int(np.argmin(apart[::-1]))
        return None

    def _picked_waiting(self, wish: Mapping[str, Any]) -> Proposal | None:
        """The proposal that waits, if it is nearer to the place than any measured site."""
        place, run = _place(wish), self.run
        if place is None or not run.waiting or not state_of(run).going:
            return None
        apart = _squares(np.array([tuple(p.site) for p in run.waiting]), place)
        measured = _squares(run.sites, place).min() if len(run.sites) else np.inf
        return run.waiting[int(np.argmin(apart))] if apart.min() < measured else None

    def _paint(self, trouble: str = "") -> Page:
        return self._painter.page(self.run, time.time(), trouble, self.path.name)

    def _take(self, thoughts: Thoughts) -> Page:
        self._painter.think(thoughts, self.run)
        return self._paint()

    # ---- on the loop ----------------------------------------------------------------------------
    def _show(self, page: Page) -> None:
        if page.parts == self.page.parts and page.facts == self.page.facts:
            return
        self.page = page
        for viewer in self.viewers:
            viewer.set()

    async def _read_on(self) -> None:
        loop = asyncio.get_running_loop()
        drawn = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self._reader.changed() and time.monotonic() - drawn < _AGAIN_S:
                continue
            begun = time.monotonic()
            self._show(await loop.run_in_executor(self._hands, self.update))
            drawn = time.monotonic()
            await asyncio.sleep(_SHARE * (drawn - begun))

    async def _think_on(self) -> None:
        """Maps for whoever looks; none where nobody does, or nothing is new."""
        loop = asyncio.get_running_loop()
        after = -1
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self.viewers or after == len(self.run.sites) or not len(self.run.curve_of):
                continue
            upto = len(self.run.sites)
            thoughts = await loop.run_in_executor(self._mind, self._thinker.think)
            after = upto
            self._show(await loop.run_in_executor(self._hands, self._take, thoughts))
            if thoughts.hopeless:
                return
            await asyncio.sleep(thoughts.rest)


def _place(wish: Mapping[str, Any]) -> tuple[int, int] | None:
    row, column = wish.get("row"), wish.get("column")
    if isinstance(row, int) and isinstance(column, int) and max(abs(row), abs(column)) < 10**6:
        return row, column
    return None


def _squares(sites: IntArray, place: tuple[int, int]) -> IntArray:
    return np.asarray(((sites - np.array(place)) ** 2).sum(axis=1))
