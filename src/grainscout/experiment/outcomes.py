"""Build the Outcome of a measured, failed, vetoed or attached site."""

from collections.abc import Callable

from grainscout.hardware.protocol import Microscope, SupportsCheck
from grainscout.records.curve import IVCurve
from grainscout.records.errors import LimitError, MicroscopeError, NotSentError
from grainscout.records.problem import Outcome, Status
from grainscout.records.scan import Site
from grainscout.records.supports import supports
from grainscout.records.waveform import Waveform

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
    """Measure a site. A failure is a failed outcome; LimitError and NotSentError pass."""
    started = now()
    curve: IVCurve | None = None
    message = ""
    try:
        curve = microscope.measure(site, waveform)
    except (LimitError, NotSentError):
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


def unmeasured_at(
    site: Site, proposal_id: str | None, *, visit: int, at: float, message: str = "vetoed by hand"
) -> Outcome:
    """Return the outcome of a proposal that is not measured: vetoed, or out of reach."""
    return Outcome(
        site=site,
        status="aborted",
        proposal_id=proposal_id,
        started=at,
        finished=at,
        visit=visit,
        message=message,
    )


def out_of_reach(microscope: Microscope, site: Site, waveform: Waveform) -> str:
    """Say why a site that has drifted cannot be gone to, or nothing."""
    if not supports(microscope, SupportsCheck):
        return ""
    try:
        beyond: list[object] = [v for v in microscope.check(site, waveform) if v.limit == "frame_m"]
    except LimitError as error:
        beyond = [error]
    return f"drifted out of reach: {beyond[0]}" if beyond else ""


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
