"""Signals: real ones, raised in this process, stop a guarded run with the tip withdrawn."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest

from grainscout.hardware import Guard, Limits, SimulatedMicroscope
from grainscout.records import IVCurve, LimitError, Site, Waveform
from grainscout.simulator import Film, FilmSpec

TRIANGLE = Waveform.triangle(1.0, 51)
SIGNALS = [
    getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, n)
]


class Interrupted(SimulatedMicroscope):
    """A microscope during whose measurement, or parking, a signal arrives."""

    during = "measure"
    number = signal.SIGINT
    parked_fully = False

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        self.bias, self.engaged = 1.0, True
        if self.during == "measure":
            signal.raise_signal(self.number)
        return super().measure(site, waveform)

    def scan(self, channels=("height",)):
        if self.during == "scan":
            self.engaged = True
            signal.raise_signal(self.number)
        return super().scan(channels)

    def park(self) -> None:
        if self.during == "park":
            self.during = "never"
            signal.raise_signal(self.number)
        super().park()
        self.parked_fully = True


@pytest.fixture(autouse=True)
def _as_from_a_terminal():
    """A guard respects what a shell's background (SIGINT) and nohup (SIGHUP) start as ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def film() -> Film:
    return Film.generate(FilmSpec(rows=32, columns=32), 1)


@pytest.mark.parametrize("during", ["measure", "scan", "between"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_run_and_parks(film, number, during):
    """Within a context, or, as the first image of a run, without one."""
    inner = Interrupted(film, "quiet", seed=np.random.SeedSequence(1))
    inner.number, inner.during, inner.engaged = number, during, True
    before, guard = signal.getsignal(number), Guard(inner, Limits())
    act = {
        "measure": lambda: guard.measure(Site(0, 0), TRIANGLE),
        "scan": guard.scan,
        "between": lambda: signal.raise_signal(number),
    }[during]
    with pytest.raises(KeyboardInterrupt), nullcontext() if during == "scan" else guard:
        act()
    assert (inner.bias, inner.engaged) == (0.0, False)
    assert signal.getsignal(number) is before


def test_two_threads_of_one_guard_take_turns_and_one_site_has_one_dose(film):
    class Slow(SimulatedMicroscope):
        inside = most = 0

        def measure(self, site: Site, waveform: Waveform) -> IVCurve:
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.02)
            self.inside -= 1
            return super().measure(site, waveform)

    inner = Slow(film, "quiet", seed=np.random.SeedSequence(1))
    guard = Guard(inner, Limits(site_s=2.5))
    work = [threading.Thread(target=guard.measure, args=(Site(k, 0), TRIANGLE)) for k in range(4)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert inner.most == 1
    guard.measure(Site(0, 0), TRIANGLE)
    with pytest.raises(LimitError, match=r"at this site must be at most 2\.5 s; got 3 s"):
        guard.measure(Site(0, 0), TRIANGLE)
    guard.continue_from(5, 0.0, {Site(9, 9): 2.0})
    with pytest.raises(LimitError, match="site_s"):
        guard.measure(Site(9, 9), TRIANGLE)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_second_signal_does_not_break_into_parking(film, guarded):
    inner = Interrupted(film, "quiet", seed=np.random.SeedSequence(1))
    inner.during = "park"
    inner.bias, inner.engaged = 1.0, True
    guard = Guard(inner, Limits())
    context = guard if guarded else nullcontext()
    with pytest.raises(KeyboardInterrupt), context:
        guard.park()
    assert inner.parked_fully
    assert (inner.bias, inner.engaged) == (0.0, False)


def test_somebody_elses_handler_is_left_alone(film):
    def own(number: int, frame: object) -> None:
        pass

    old = signal.signal(signal.SIGTERM, own)
    try:
        with Guard(SimulatedMicroscope(film, "quiet", seed=np.random.SeedSequence(1))):
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, old)


def test_in_another_thread_the_guard_works_without_signals(film):
    result = []

    def work() -> None:
        with Guard(SimulatedMicroscope(film, "quiet", seed=np.random.SeedSequence(1))) as guard:
            result.append(guard.measure(Site(0, 0), TRIANGLE))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert len(result) == 1


def test_importing_the_hardware_package_loads_no_learning_stack_and_no_adapter():
    code = (
        "import sys, grainscout.hardware as h; h.Guard, h.Limits; h.microscope_names();"
        "heavy = {'torch', 'gpytorch', 'scipy', 'pandas', 'matplotlib', 'h5py', 'sklearn', 'zmq', 'tornado'};"
        "print(sorted(heavy & set(sys.modules)), "
        "sorted(m for m in sys.modules if m.startswith('grainscout.simulator')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
