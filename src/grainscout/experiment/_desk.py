"""A person's hand on a running experiment: requests left in its journal, from any process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from grainscout.hardware._protocol import Microscope
from grainscout.journal import Journal
from grainscout.records import ConfigError, Problem, Site

#: What can be asked with ``Journal.request(kind, ...)``; obeyed before the next measurement.
REQUESTS: Mapping[str, str] = {
    "pause": "park the tip and wait",
    "resume": "go on after a pause",
    "abort": "park and end the run; it can be resumed later",
    "veto": "do not measure the proposal `id`; the policy is told that it was aborted",
    "add": "measure the site `row`, `column` next; the policy is told as of any foreign point",
}

_POLL_S = 0.1


class Aborted(Exception):
    """A person ended the run."""


class Desk:
    """Where the requests of people are read and obeyed.

    vetoed : ids of proposals that must not be measured.
    """

    def __init__(self, journal: Journal | None, problem: Problem) -> None:
        self._journal = journal
        self._problem = problem
        self._paused = False
        self.vetoed: set[str] = set()

    def obey(self, microscope: Microscope) -> Iterator[Site]:
        """Do what was asked; the sites to measure by hand come out.  Returns when not paused.

        Raises Aborted.  A request that cannot be obeyed becomes an event of the journal.
        """
        if self._journal is None:
            return
        while True:
            for request in self._journal.requests():
                wrong = ""
                try:
                    site = self._do(request.kind, request.detail, microscope)
                except ConfigError as error:
                    site, wrong = None, str(error)
                self._journal.record_event(
                    "request",
                    microscope.clock.now(),
                    asked=request.kind,
                    **dict(request.detail),
                    **({"refused": wrong} if wrong else {}),
                )
                self._journal.handled(request)  # after it was done and noted: a kill loses none
                if request.kind == "abort":
                    raise Aborted
                if site is not None:
                    yield site
            if not self._paused:
                return
            time.sleep(_POLL_S)

    def _do(self, kind: str, detail: Mapping[str, Any], microscope: Microscope) -> Site | None:
        if kind == "pause":
            microscope.park()
            self._paused = True
        elif kind == "resume":
            self._paused = False
        elif kind == "veto":
            self.vetoed.add(str(detail.get("id")))
        elif kind == "add":
            return self._site(detail)
        elif kind != "abort":
            raise ConfigError(f"request must be one of {', '.join(REQUESTS)}; got {kind!r}")
        return None

    def _site(self, detail: Mapping[str, Any]) -> Site:
        row, column = detail.get("row"), detail.get("column")
        rows, columns = self._problem.scan.shape
        if not (isinstance(row, int) and isinstance(column, int)):
            raise ConfigError(f"add needs a whole row and column; got {row!r}, {column!r}")
        if not self._problem.scan.contains(Site(row, column)):
            raise ConfigError(
                f"add needs a site on the {rows} x {columns} scan; got ({row}, {column})"
            )
        return Site(row, column)
