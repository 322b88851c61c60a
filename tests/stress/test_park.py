"""After an exception at any call of an adapter to its controller the tip is at 0 V and withdrawn."""

import contextlib

from rig import Rig
from rigs_limits import RIGS
from stress import Size, Tally, nothing_lost, tally, times

from grainscout.hardware import Guard, Limits
from grainscout.records import MicroscopeError, Site, Waveform


def _measured(rig: Rig, sweep: Waveform) -> BaseException | None:
    """An image and a curve under a guard, and what ended them."""
    try:
        # Not as a context: at its end the connection is given back, and here it is used again.
        guard = Guard(rig.microscope, Limits())
        guard.scan()
        guard.measure(Site(2, 3), sweep)
        guard.park()
    except BaseException as error:  # noqa: BLE001 -- an interrupt must park as well
        return error
    return None


def _one_by_one(rig: Rig) -> tuple[int, list[str]]:
    """Fail at each call in turn; (how often, what was lost)."""
    sweep = rig.microscope.capabilities.waveform or Waveform.triangle(0.5, 5, 1e-3)
    rig.fail_at(-1)
    error = _measured(rig, sweep)
    total, lost = rig.calls(), [f"undisturbed: {error}"] if error else []
    if not rig.parked():
        lost.append("undisturbed and not parked")
    tried = 0
    for n in range(total):
        rig.fail_at(n)
        error = _measured(rig, sweep)
        rig.fail_at(-1)
        tried += 1
        if not rig.parked():
            lost.append(f"call {n} of {total}: not parked after {error!r:.80}")
        if isinstance(error, MicroscopeError) and "PARKING FAILED" in str(error):
            lost.append(f"call {n} of {total}: one fault, and parking was given up")
        with contextlib.suppress(MicroscopeError):
            Guard(rig.microscope, Limits()).park()
    return tried, lost


@nothing_lost
def test_each_failing_call_ends_parked(size: Size) -> list[Tally]:
    """Each call of a scan and a measurement fails once, in every adapter."""
    tallies = []
    for name, make in RIGS.items():
        if name in ("replay", "link", "bluesky"):  # no controller, or another one's
            continue
        lost, tried = [], 0
        for _ in range(times(size, short=1, long=20)):
            with make() as rig:
                more, found = _one_by_one(rig)
            tried, lost = tried + more, lost + found
        tallies.append(tally(f"calls of {name} that fail", tried, lost))
    return tallies


@nothing_lost
def test_a_dead_controller_asks_for_withdrawal_by_hand(size: Size) -> list[Tally]:
    """A controller that fails from some call on: the error says what a person must do."""
    lost, tried = [], 0
    for name in ("simulated", "nanonis", "asylum"):
        with RIGS[name]() as rig:
            sweep = Waveform.triangle(0.5, 5, 1e-3)
            park = rig.microscope.park

            def dead() -> None:
                raise ConnectionError("no answer for ever")

            for n in range(times(size, short=1, long=4)):
                rig.fail_at(n)
                rig.microscope.park = dead
                error = _measured(rig, sweep)
                rig.microscope.park = park
                rig.fail_at(-1)
                tried += 1
                if not (isinstance(error, MicroscopeError) and "PARKING FAILED" in str(error)):
                    lost.append(f"{name}, call {n}: {error!r:.100}")
                rig.microscope.park()
    return [tally("dead controllers", tried, lost)]
