"""Clock, wear and faults of a run's microscope, and the events in its journal."""

from collections.abc import Mapping, Sequence
from typing import Any

from grainscout.hardware.protocol import Microscope, SupportsCheck, SupportsFaults, SupportsWear
from grainscout.journal import Event, Journal
from grainscout.records import JournalError, PackedState, Site
from grainscout.records.supports import SupportsState, supports


class Logbook:
    """What a run notes besides curves. `new_image`: a resumed microscope must find its sites again."""

    def __init__(self, microscope: Microscope, journal: Journal | None) -> None:
        self._microscope, self._journal = microscope, journal
        self._elapsed = 0.0  # seconds of earlier stretches on a clock that cannot be restored
        self._faults = 0  # how many of the instrument's are in the journal
        self.new_image = False
        self._wear_start = self._wear()

    def now(self) -> float:
        """Seconds since the run's start, earlier stretches included."""
        return self._elapsed + self._microscope.clock.now()

    def worn(self) -> float:
        """Share of the tip's life that the run has used."""
        return self._wear() - self._wear_start

    def event(self, kind: str, **detail: Any) -> None:
        """Journal an event."""
        if self._journal is not None:
            self._journal.record_event(kind, self.now(), **detail)

    def start(self) -> None:
        """Journal the start and the microscope as it is."""
        if self._journal is not None and (state := self.state()) is not None:
            self._journal.record_microscope(state)
        self.event("start", wear=self._wear_start)

    def note_faults(self) -> None:
        """Journal the faults that a simulated instrument logged. The policy does not see them."""
        if self._journal is None or not supports(self._microscope, SupportsFaults):
            return
        faults = self._microscope.faults()
        for fault in faults[self._faults :]:
            self.event("fault", what=fault["kind"], at_s=fault["time_s"], **fault["detail"])
        self._faults = len(faults)

    def state(self) -> PackedState | None:
        """The microscope's state, if it can be stored."""
        return self._microscope.state() if supports(self._microscope, SupportsState) else None

    def restore(
        self, journal: Journal, events: Sequence[Event], curves: int, exposed: Mapping[Site, float]
    ) -> None:
        """Bring the microscope, or its clock at least, to the end of the journal."""
        left = journal.checkpoint("microscope")
        if supports(self._microscope, SupportsState):
            if left is None:
                raise JournalError(
                    f"journal {journal.path} has no state of its microscope: its run ended before it "
                    "began. Delete it and start again"
                )
            self._microscope.restore(left[1])
            self._wear_start = self._wear()
        else:
            self.new_image = True
            self._elapsed = max((e.clock_s for e in events), default=0.0)
            if supports(self._microscope, SupportsCheck):
                self._microscope.continue_from(curves, self._elapsed, exposed)
        for event in events:
            self._faults += event.kind == "fault"
            if event.kind == "start":
                self._wear_start = float(event.detail["wear"])

    def _wear(self) -> float:
        return self._microscope.wear() if supports(self._microscope, SupportsWear) else 0.0
