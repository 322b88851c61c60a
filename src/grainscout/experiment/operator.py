"""A person's hand on a running experiment: requests left in its journal, from any process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats import Recording, read
from grainscout.hardware.protocol import Microscope, SupportsCheck
from grainscout.journal import Journal, recording_of
from grainscout.records import ConfigError, DataError, IVCurve, JournalError, Problem, Site
from grainscout.records.supports import supports

#: What can be asked with ``Journal.request(kind, ...)``; obeyed before the next measurement.
REQUESTS: Mapping[str, str] = {
    "pause": "park the tip and wait",
    "resume": "go on after a pause",
    "abort": "park and end the run; it can be resumed later",
    "veto": "do not measure the proposal `id`; the policy is told that it was aborted",
    "attach": "tell the policy the curves of `file`, a recording or journal on the same scan",
    "add": "measure the site `row`, `column` next; the policy is told as of any foreign point",
}

_POLL_S = 0.1


class Aborted(Exception):
    """A person ended the run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ByHand:
    """A curve that was not measured in this run."""

    site: Site
    curve: IVCurve


class Desk:
    """Where the requests of people are read and obeyed.

    vetoed : ids of proposals that must not be measured.
    """

    def __init__(self, journal: Journal | None, problem: Problem) -> None:
        self._journal = journal
        self._problem = problem
        self._paused = False
        self.vetoed: set[str] = set()

    def obey(self, microscope: Microscope) -> Iterator[Site | ByHand]:
        """Do what was asked; sites to measure and curves to attach come out.  Returns when not paused.

        Raises Aborted.  A request that cannot be obeyed becomes an event of the journal.
        """
        if self._journal is None:
            return
        while True:
            for request in self._journal.requests():
                wrong = ""
                try:
                    wanted = self._do(request.kind, request.detail, microscope)
                except (ConfigError, DataError, JournalError) as error:
                    wanted, wrong = [], str(error)
                self._journal.record_event(
                    "request",
                    microscope.clock.now(),
                    asked=request.kind,
                    **dict(request.detail),
                    **({"refused": wrong} if wrong else {}),
                )
                # A site counts as asked for until it was measured: a kill in between loses nothing.
                # Attached curves are a batch of their own: the file can be attached again.
                if request.kind != "add":
                    self._journal.handled(request)
                if request.kind == "abort":
                    raise Aborted
                yield from wanted
                if request.kind == "add":
                    self._journal.handled(request)
            if not self._paused:
                return
            time.sleep(_POLL_S)

    def _do(
        self, kind: str, detail: Mapping[str, Any], microscope: Microscope
    ) -> Sequence[Site | ByHand]:
        if kind == "pause":
            microscope.park()
            self._paused = True
        elif kind == "resume":
            self._paused = False
        elif kind == "veto":
            self.vetoed.add(str(detail.get("id")))
        elif kind == "add":
            site = self._site(detail)
            if supports(microscope, SupportsCheck):
                broken = microscope.check(site, self._problem.waveform)
                if broken:
                    raise ConfigError("; ".join(map(str, broken)))
            return [site]
        elif kind == "attach":
            return attachable(Path(str(detail.get("file"))), self._problem)
        elif kind != "abort":
            raise ConfigError(f"request must be one of {', '.join(REQUESTS)}; got {kind!r}")
        return []

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


def attachable(file: Path, problem: Problem) -> list[ByHand]:
    """The curves of a recording or journal that fit a problem; ConfigError or DataError if none can.

    They must be of the problem's waveform (the same voltages), on a grid of its scan's shape.
    """
    if file.suffix == ".gsj":
        with Journal.read(file) as journal:
            found = recording_of(journal)
    else:
        read_data = read(file)
        if not isinstance(read_data, Recording):
            raise DataError(f"{file} must hold curves to be attached; it holds images")
        found = read_data
    if found.scan.shape != problem.scan.shape:
        raise ConfigError(
            f"attached curves must be on the scan of {problem.scan.shape} pixels; {file} has "
            f"{found.scan.shape}"
        )
    wave, own = found.waveform, problem.waveform
    if len(wave) != len(own) or np.abs(wave.voltage - own.voltage).max() > 0.02 * own.peak:
        raise ConfigError(
            f"attached curves must be of the same sweep ({len(own)} samples to {own.peak:g} V); {file} "
            f"has {len(wave)} samples to {wave.peak:g} V"
        )
    return [
        ByHand(site=Site(int(r), int(c)), curve=found.curve(Site(r, c))) for r, c in found.sites
    ]
