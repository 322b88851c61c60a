"""The public conformance suite of microscopes."""

from collections.abc import Callable

from grainscout.hardware.conformance.checks import CHECKS, Check
from grainscout.hardware.conformance.rig import CheckSetup, Late, in_time
from grainscout.hardware.protocol import Microscope
from grainscout.records.arrays import FloatArray
from grainscout.records.errors import MISTAKES, CheckResult, MicroscopeError, NotChecked
from grainscout.records.scan import Scan
from grainscout.records.waveform import Waveform

_HANGS = "it still hangs"


def check_microscope(
    factory: Callable[[], Microscope],
    *,
    waveform: Waveform | None = None,
    scan: Scan | None = None,
    peak_current: FloatArray | None = None,
    seconds: float = 60.0,
) -> list[CheckResult]:
    """Run every check on microscopes that `factory` makes.

    A real microscope is opened once and takes one image. It is parked and closed by the calling thread
    at the end, whatever happened. Each check runs in a thread of its own. Once one hangs, no further
    command is sent beside it. A simulated microscope is made anew for each check. On a real instrument,
    let the factory put a :class:`Guard` with the sample's limits around the adapter.

    Parameters
    ----------
    factory : callable
        Called without arguments for a fresh microscope, in the state of a new experiment.
    waveform : Waveform, optional
        Applied where the microscope is free to choose. Default 1 V, 0.5 s.
    scan : Scan, optional
        The image that it must give. Its orientation is checked, so no rotation or mirror may map the
        sample on itself.
    peak_current : (rows, columns) array of float, optional
        Largest absolute current [A] at each site. With it the orientation of the measurements is
        checked. Only its pattern counts.
    seconds : float
        Wall-clock time [s] after which a check counts as hanging, beside the microscope's own time-outs
        (``capabilities.patience_s``) if it is a real one.

    Returns
    -------
    list of CheckResult
        One a check, failures included. A single one if no microscope can be opened.
    """
    setup = CheckSetup(factory=factory, waveform=waveform, scan=scan, peak_current=peak_current)
    try:
        able = setup.make().capabilities
        setup.end()
    except MISTAKES as error:
        said = f"raised {type(error).__name__}: {error}"
        return [CheckResult(name="connection", passed=False, message=said)]
    limit = seconds if able.simulated else seconds + able.patience_s
    results: list[CheckResult] = []
    try:
        hanging = ""
        for name, check in CHECKS.items():
            results.append(_result(name, check, setup, limit, hanging))
            if results[-1].message.endswith(_HANGS) and not able.simulated:
                hanging = name
    finally:
        try:
            setup.finish()
        except MISTAKES as error:
            said = f"raised {type(error).__name__}: {error}"
            results.append(CheckResult(name="parked at the end", passed=False, message=said))
    return results


def _result(
    name: str, check: Check, setup: CheckSetup, seconds: float, hanging: str
) -> CheckResult:
    about = (check.__doc__ or "").strip()
    if hanging:
        said = f"the check {hanging!r} still hangs"
        return CheckResult(name=name, passed=True, message=said, about=about, checked=False)

    def work() -> list[str]:
        try:
            return list(check(setup))
        finally:
            setup.end()

    try:
        problems = in_time(work, seconds)
    except NotChecked as why:
        return CheckResult(name=name, passed=True, message=str(why), about=about, checked=False)
    except Late as late:
        problems = [str(late)]
    return CheckResult(name=name, passed=not problems, message="; ".join(problems), about=about)


def require_conforming(factory: Callable[[], Microscope], **settings: object) -> None:
    """Raise MicroscopeError with every failed check of :func:`check_microscope`."""
    results = check_microscope(factory, **settings)  # type: ignore[arg-type]
    failed = [r for r in results if not r.passed]
    if failed:
        listing = "\n".join(f"  {r.name}: {r.message}" for r in failed)
        raise MicroscopeError(
            f"the microscope fails {len(failed)} of {len(results)} checks:\n{listing}"
        )
