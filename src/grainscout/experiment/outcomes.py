"""Build the Outcome of a measured, failed, vetoed or attached site."""

from __future__ import annotations

from collections.abc import Callable

from grainscout.hardware.protocol import Microscope
from grainscout.records import IVCurve, LimitError, MicroscopeError, Outcome, Site, Status, Waveform

#: The message of a curve that was not measured in this run.
ATTACHED = "attached"


def measure(
    microscope: Microscope,
    waveform: Waveform,
    site: Site,
    *,
    visit: int,
    now: Callable[[], float],
    proposal_id: str | None = None,
) -> Outcome:
    """Measure a site.

    A microscope that fails gives a failed outcome. LimitError passes.
    """
    started = now()
    curve: IVCurve | None = None
    message = ""
    try:
        curve = microscope.measure(site, waveform)
    except LimitError:
        raise
    except MicroscopeError as error:
        message = str(error)
    return Outcome(
        site=site,
        status="failed" if curve is None else _status(curve),
        curve=curve,
        proposal_id=proposal_id,
        started=started,
        finished=now(),
        visit=visit,
        message=message,
    )


def vetoed(site: Site, proposal_id: str, *, visit: int, at: float) -> Outcome:
    """Return the outcome of a proposal that an operator vetoed."""
    return Outcome(
        site=site,
        status="aborted",
        proposal_id=proposal_id,
        started=at,
        finished=at,
        visit=visit,
        message="vetoed by hand",
    )


def attached(site: Site, curve: IVCurve, *, visit: int, at: float) -> Outcome:
    """Return the outcome of a curve that exists already."""
    return Outcome(
        site=site,
        status=_status(curve),
        curve=curve,
        started=at,
        finished=at,
        visit=visit,
        message=ATTACHED,
    )


def costs(outcome: Outcome) -> bool:
    """Tell if it used up one of the budget's curves."""
    return outcome.status != "aborted" and outcome.message != ATTACHED


def _status(curve: IVCurve) -> Status:
    return "saturated" if curve.saturated.any() else "ok"
