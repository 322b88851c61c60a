"""Newest page of a run, and requests of viewers."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.experiment.changes import KINDS, Changes
from grainscout.journal import Journal
from grainscout.records import GrainscoutError, IntArray, JournalError, Proposal
from grainscout.watch.explanations import Explanation, ExplanationWorker
from grainscout.watch.journal_reader import Reader
from grainscout.watch.page_renderer import Page, PageRenderer
from grainscout.watch.status import spent_curves, state_of

_LOOK_S = 0.2
_SHARE = 4.0  # rest at least so many times as long as an update took
_AGAIN_S = 5.0  # silence and a killed run show by the time of day alone
#: A journal that is unreadable for so long is no commit under way [s].
DOUBT_S = 3.0
_ASKS = ("pause", "resume", "abort", "veto", *KINDS)


class Broadcaster(AbstractContextManager["Broadcaster"]):
    """The newest page of one run, and its viewers, who may send requests with `control`."""

    def __init__(self, path: Path, *, control: bool = False, maps: bool = True) -> None:
        self.path = path
        self.control = control
        self.viewers: set[asyncio.Event] = set()
        self._maps = maps
        self._reader = Reader(path)
        self.run = self._reader.update()
        self._renderer = PageRenderer(self.run, control=control)
        if not maps:
            self._renderer.show_maps(Explanation(maps={}, trouble="not asked for"), self.run)
        self._io_pool = ThreadPoolExecutor(1, "watch")  # all reading and drawing, in order
        self._model_pool = ThreadPoolExecutor(1, "explanations")
        self._worker = ExplanationWorker(path)
        self._read, self._folded = time.monotonic(), False
        self.page = self._render()

    def __exit__(self, *_: object) -> None:
        self._worker.stop()
        self._model_pool.shutdown()
        self._worker.close()
        self._io_pool.shutdown()

    def document(self) -> str:
        """Render the page as one document."""
        return self._renderer.whole(self.page, self.run, self.path.name)

    def update(self) -> Page:
        """Read the new rows and render the page."""
        trouble = ""
        try:
            self.run = self._reader.update()
            self._read = time.monotonic()
        except JournalError as error:
            if time.monotonic() - self._read > DOUBT_S:  # longer than a commit takes
                trouble = f"This page no longer follows the run: {error}"
        self._fold()
        return self._render(trouble)

    async def follow(self) -> None:
        """Update the page until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_journal())
            if self._maps:
                tasks.create_task(self._follow_policy())

    async def answer(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a viewer's choice or request."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._io_pool, self._answer, dict(message))

    # ---- in the one thread that reads and draws -------------------------------------------------
    def _fold(self) -> None:
        """Fold SQLite's side file in after the run."""
        if self._folded or state_of(self.run).name in ("starting", "running", "paused", "stopped"):
            return
        self._folded = True
        if self.path.with_name(self.path.name + "-wal").exists():
            with suppress(JournalError), Journal.open(self.path):
                pass

    def _answer(self, message: dict[str, Any]) -> Mapping[str, Any]:
        try:
            if "ask" in message:
                return {"reply": self._ask(message["ask"], message.get("id"))}
            waiting = self._picked_waiting(message)
            if waiting is not None:
                return {"picked": self._renderer.proposal(waiting, self.run)}
            number = self._picked(message)
            outcome = None if number is None else self._reader.outcome(number)
            if number is None or outcome is None:
                return {"reply": "There is no such measurement yet."}
            shown = self._renderer.measurement(outcome, number, self.run)
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
        if kind in KINDS:
            changes = Changes(self.run.header.problem, None)
            changes.restore(self.run.events)
            changes.apply(str(kind), str(id_), 0, spent=spent_curves(self.run))
            detail["change"] = str(id_)
        with Journal.open(self.path) as journal:
            journal.request(str(kind), **detail)
        return f"Asked: {kind}{''.join(f' {v}' for v in detail.values())}."

    def _picked(self, message: Mapping[str, Any]) -> int | None:
        """Measurement of that number or nearest to the place."""
        number, place, sites = message.get("number"), _place(message), self.run.sites
        if isinstance(number, int) and 0 < number <= len(sites):
            return number - 1
        if place is not None and len(sites):
            squares = _squares(sites, place)
            return len(squares) - 1 - int(np.argmin(squares[::-1]))
        return None

    def _picked_waiting(self, message: Mapping[str, Any]) -> Proposal | None:
        """Waiting proposal, if nearer than any measured site."""
        place, run = _place(message), self.run
        if place is None or not run.waiting or not state_of(run).going:
            return None
        squares = _squares(np.array([tuple(p.site) for p in run.waiting]), place)
        measured = _squares(run.sites, place).min() if len(run.sites) else np.inf
        return run.waiting[int(np.argmin(squares))] if squares.min() < measured else None

    def _render(self, trouble: str = "") -> Page:
        return self._renderer.page(self.run, time.time(), trouble, self.path.name)

    def _render_maps(self, explanation: Explanation) -> Page:
        self._renderer.show_maps(explanation, self.run)
        return self._render()

    # ---- on the loop ----------------------------------------------------------------------------
    def _show(self, page: Page) -> None:
        if page.parts == self.page.parts and page.status == self.page.status:
            return
        self.page = page
        for viewer in self.viewers:
            viewer.set()

    async def _follow_journal(self) -> None:
        loop = asyncio.get_running_loop()
        drawn = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self._reader.changed() and time.monotonic() - drawn < _AGAIN_S:
                continue
            begun = time.monotonic()
            self._show(await loop.run_in_executor(self._io_pool, self.update))
            drawn = time.monotonic()
            await asyncio.sleep(_SHARE * (drawn - begun))

    async def _follow_policy(self) -> None:
        """Make maps while there are viewers and new measurements."""
        loop = asyncio.get_running_loop()
        after = -1
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self.viewers or after == len(self.run.sites) or not len(self.run.curve_of):
                continue
            known = len(self.run.sites)
            explanation = await loop.run_in_executor(self._model_pool, self._worker.explain)
            after = known
            page = await loop.run_in_executor(self._io_pool, self._render_maps, explanation)
            self._show(page)
            if explanation.hopeless:
                return
            await asyncio.sleep(explanation.rest)


def _place(message: Mapping[str, Any]) -> tuple[int, int] | None:
    row, column = message.get("row"), message.get("column")
    if isinstance(row, int) and isinstance(column, int) and max(abs(row), abs(column)) < 10**6:
        return row, column
    return None


def _squares(sites: IntArray, place: tuple[int, int]) -> IntArray:
    """Squared distances to a place [pixels]."""
    return np.asarray(((sites - np.array(place)) ** 2).sum(axis=1))
