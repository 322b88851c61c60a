"""Operator requests to a running experiment, passed through its journal."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats import Recording, read
from grainscout.experiment.changes import KINDS, Changes
from grainscout.experiment.retraction import can_forget, retraction
from grainscout.hardware.protocol import Microscope, SupportsCheck
from grainscout.journal import Journal, Request, recording_of
from grainscout.journal.models import Retraction
from grainscout.policies.protocol import Policy
from grainscout.records.curve import IVCurve
from grainscout.records.errors import ConfigError, DataError, JournalError
from grainscout.records.problem import Problem
from grainscout.records.registry import one_of
from grainscout.records.scan import Site
from grainscout.records.supports import supports

#: Kinds of ``Journal.request(kind, ...)``, carried out before the next measurement.
REQUESTS: Mapping[str, str] = {
    "pause": "park the tip and wait",
    "resume": "go on after a pause",
    "abort": "park and end the run; it can be resumed later",
    "veto": "do not measure the proposal `id`; the policy gets it as aborted",
    "attach": "give the policy the curves of `file`, a recording or journal on the same scan",
    "add": "measure the site `row`, `column` next; the policy gets it as an external point",
    "retract": "take the curve of outcome number `outcome` out again, for a `reason`",
    "exclude": "measure no more in the rectangle `change`, such as 0,0,20,40 (row,column,row,column)",
    "constrain": "measure only where an image is as `change` says, such as height > 2e-9",
    "narrow": "lower the budget or limits to `change`, such as curves=40, current_A=1e-9",
}

_POLL_S = 0.1


class Aborted(Exception):
    """An operator ended the run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExternalCurve:
    """A curve that was not measured in this run."""

    site: Site
    curve: IVCurve


@dataclass(frozen=True, kw_only=True)
class _Additions:
    """Sites to measure and curves to attach for one request."""

    sites: Sequence[Site] = ()
    curves: Sequence[ExternalCurve] = ()
    retraction: Retraction | None = None


class OperatorRequests:
    """Reads and applies the requests in a journal, if there is one. `vetoed` are ids not to be measured."""

    def __init__(
        self,
        journal: Journal | None,
        problem: Problem,
        microscope: Microscope,
        policy: Policy,
        changes: Changes,
    ) -> None:
        self._journal, self._problem, self._microscope = journal, problem, microscope
        self._policy, self._changes = policy, changes
        self._next_batch = 0
        self._paused = False
        self.vetoed: set[str] = set()
        self._handlers: dict[str, Callable[[Mapping[str, Any]], _Additions | None]] = {
            "pause": self._pause,
            "resume": self._resume,
            "abort": lambda _: None,
            "veto": lambda detail: self.vetoed.add(str(detail.get("id"))),
            "attach": self._attach,
            "add": self._add,
            "retract": self._retract,
        }
        for kind in KINDS:
            self._handlers[kind] = partial(self._change, kind)

    def apply(
        self,
        *,
        measure: Callable[[Site], None],
        attach: Callable[[ExternalCurve], None],
        retract: Callable[[Retraction], None],
        batch: int,
    ) -> None:
        """Carry out all open requests. Return when the run is not paused.

        A request that cannot be carried out becomes an event of the journal. Aborted is raised
        for a request to abort.
        """
        if self._journal is None:
            return
        self._next_batch = batch + 1
        while True:
            for request in self._journal.requests():
                added = self._apply_one(self._journal, request)
                # A site counts as open until it was measured: a kill in between loses nothing.
                # Attached curves are a batch of their own: the file can be attached again.
                if request.kind != "add":
                    self._journal.handled(request)
                if request.kind == "abort":
                    raise Aborted
                if added.retraction is not None:
                    retract(added.retraction)
                for curve in added.curves:
                    attach(curve)
                for site in added.sites:
                    measure(site)
                if request.kind == "add":
                    self._journal.handled(request)
            if not self._paused:
                return
            time.sleep(_POLL_S)

    def _apply_one(self, journal: Journal, request: Request) -> _Additions:
        """Call the request's handler and record the event."""
        added, refused = None, {}
        try:
            one_of("request", request.kind, self._handlers)
            added = self._handlers[request.kind](request.detail)
        except (ConfigError, DataError, JournalError) as error:
            refused = {"refused": str(error)}
        detail = {"asked": request.kind, **request.detail, **refused}
        if added is not None and added.retraction is not None:
            detail |= vars(added.retraction)
        if request.kind in KINDS and not refused:
            detail["before"] = self._next_batch
        journal.record_event("request", self._microscope.clock.now(), **detail)
        return added or _Additions()

    def _pause(self, _: Mapping[str, Any]) -> None:
        self._microscope.park()
        self._paused = True

    def _resume(self, _: Mapping[str, Any]) -> None:
        self._paused = False

    def _attach(self, detail: Mapping[str, Any]) -> _Additions:
        return _Additions(curves=attachable(Path(str(detail.get("file"))), self._problem))

    def _add(self, detail: Mapping[str, Any]) -> _Additions:
        row, column = detail.get("row"), detail.get("column")
        if not (isinstance(row, int) and isinstance(column, int)):
            raise ConfigError(f"add needs a whole row and column; got {row!r}, {column!r}")
        site, (rows, columns) = Site(row, column), self._problem.scan.shape
        if not self._problem.scan.contains(site):
            raise ConfigError(
                f"add needs a site on the {rows} x {columns} scan; got ({row}, {column})"
            )
        if supports(self._microscope, SupportsCheck):
            broken = self._microscope.check(site, self._problem.waveform)
            if broken:
                raise ConfigError("; ".join(map(str, broken)))
        return _Additions(sites=[site])

    def _change(self, kind: str, detail: Mapping[str, Any]) -> None:
        self._changes.apply(kind, str(detail.get("change")), self._next_batch)

    def _retract(self, detail: Mapping[str, Any]) -> _Additions:
        if self._journal is None:
            return _Additions()
        can_forget(self._policy)
        return _Additions(retraction=retraction(self._journal, detail, self._next_batch))


def attachable(file: Path, problem: Problem) -> list[ExternalCurve]:
    """Read the curves of a recording or journal that fit a problem.

    Parameters
    ----------
    file : Path
        A journal (.gsj), or a recording in any format that ``analysis.formats.read`` knows.
    problem : Problem
        Its waveform's voltages and its scan's shape are those that the file must have.

    Raises
    ------
    ConfigError
        If the file's scan or sweep is another one.
    DataError
        If the file holds no curves.
    """
    if file.suffix == ".gsj":
        with Journal.read(file) as journal:
            recording = recording_of(journal)
    else:
        content = read(file)
        if not isinstance(content, Recording):
            raise DataError(f"{file} must hold curves to be attached; it holds images")
        recording = content
    if recording.scan.shape != problem.scan.shape:
        raise ConfigError(
            f"attached curves must be on the scan of {problem.scan.shape} pixels; {file} has "
            f"{recording.scan.shape}"
        )
    wave, own = recording.waveform, problem.waveform
    if len(wave) != len(own) or np.abs(wave.voltage - own.voltage).max() > 0.02 * own.peak:
        raise ConfigError(
            f"attached curves must be of the same sweep ({len(own)} samples to {own.peak:g} V); {file} "
            f"has {len(wave)} samples to {wave.peak:g} V"
        )
    sites = [Site(int(row), int(column)) for row, column in recording.sites]
    return [ExternalCurve(site=site, curve=recording.curve(site)) for site in sites]
