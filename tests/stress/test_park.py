"""After an exception at any call of an adapter to its controller the tip is at 0 V and withdrawn."""

import contextlib

import pytest
from rigs_limits import RIGS

from grainscout.hardware import Guard, Limits
from grainscout.records import MicroscopeError, Site, Waveform


def _measured(rig):
    """An image and a curve under a guard, and what ended them."""
    sweep = rig.microscope.capabilities.waveform or Waveform.triangle(0.5, 5, 1e-3)
    try:
        # Not as a context: at its end the connection is given back, and here it is used again.
        guard = Guard(rig.microscope, Limits())
        guard.scan()
        guard.measure(Site(2, 3), sweep)
        guard.park()
    except BaseException as error:  # noqa: BLE001 -- an interrupt must park as well
        return error
    return None


# Without those that have no controller, or another one's.
@pytest.mark.parametrize("name", sorted({*RIGS} - {"replay", "link", "bluesky"}))
def test_each_failing_call_ends_parked(tally, times, name):
    for _ in range(times(short=1, long=20)):
        with RIGS[name]() as rig:
            rig.fail_at(-1)
            assert _measured(rig) is None
            assert rig.parked()
            total = rig.calls()
            for n in range(total):
                rig.fail_at(n)
                error = _measured(rig)
                rig.fail_at(-1)
                lost = (
                    "" if rig.parked() else f"call {n} of {total}: not parked after {error!r:.80}"
                )
                given_up = f"call {n}: one fault, and {error}" * ("PARKING FAILED" in str(error))
                tally(f"calls of {name} that fail", lost, given_up)
                with contextlib.suppress(MicroscopeError):
                    Guard(rig.microscope, Limits()).park()


@pytest.mark.parametrize("name", ["simulated", "nanonis", "asylum"])
def test_a_dead_controller_asks_for_withdrawal_by_hand(tally, times, monkeypatch, name):
    def dead():
        raise ConnectionError("no answer for ever")

    with RIGS[name]() as rig:
        for n in range(times(short=1, long=4)):
            rig.fail_at(n)
            with monkeypatch.context() as patch:
                patch.setattr(rig.microscope, "park", dead)
                error = _measured(rig)
            rig.fail_at(-1)
            asks = isinstance(error, MicroscopeError) and "PARKING FAILED" in str(error)
            tally("dead controllers", "" if asks else f"{name}, call {n}: {error!r:.100}")
            rig.microscope.park()
