"""A run that dies in any way leaves the tip withdrawn at 0 V: real signals, a fake controller."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_nanonis
import numpy as np
import pytest

pytest.importorskip("nanonis_spm")

from grainscout.hardware import Guard, Limits, make_microscope
from grainscout.hardware.signals import Interrupts
from grainscout.records import MicroscopeError

HEIGHT = np.random.default_rng(4).random((5, 6)) * 1e-9


@pytest.fixture
def fake():
    controller = fake_nanonis.FakeNanonis(HEIGHT, np.ones((5, 6)))
    controller.withdraw_s = 0.1
    yield controller
    controller.close()


def options(fake, **more) -> dict:
    return {**fake_nanonis.QUICK, **fake.ports(), "timeout_s": 2.0, **more}


def parked(fake, seconds=20.0) -> bool:
    until = time.monotonic() + seconds
    while (fake.bias != 0.0 or fake.landed or fake.z() < fake.ends[0]) and time.monotonic() < until:
        time.sleep(0.02)
    return fake.bias == 0.0 and fake.z() == fake.ends[0]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("name", "during"),
    [("SIGKILL", "sweep"), ("SIGKILL", "scan"), ("SIGTERM", "scan"), ("SIGHUP", "sweep")],
)
def test_a_run_that_is_ended_leaves_the_tip_up_at_zero_volts(fake, name, during):
    watched = {"watchdog_port": fake.third} if name == "SIGKILL" else {}
    fake.busy_s[during] = 60.0
    victim = Path(__file__).with_name("victim_run.py")
    run = subprocess.Popen(
        [sys.executable, str(victim), json.dumps(options(fake, scan_bias_V=0.4, **watched))],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        assert fake.working.wait(60)
        time.sleep(0.1)
        fake.bias = 0.4  # as in the middle of a sweep
        assert fake.landed
        os.kill(run.pid, getattr(signal, name))
        assert parked(fake), fake.commands()[-5:]
        assert {"BiasSpectr.Stop", "Scan.Action", "FolMe.Stop"} <= set(fake.commands())
        said = run.communicate(timeout=60)[1].decode()
        assert ("the run died or was silent; parked" in said) == (name == "SIGKILL")
    finally:
        run.kill()


def test_a_watchdog_that_cannot_reach_the_controller_is_an_error_before_anything_moves(fake):
    guard = Guard(make_microscope("nanonis", options(fake, watchdog_port=1)), Limits())
    with pytest.raises(MicroscopeError, match=r"watchdog must reach .*watchdog_port = 0"), guard:
        guard.scan()
    assert "ZCtrl.OnOffSet" not in fake.commands()


def test_a_watchdog_that_ended_stops_the_run(fake):
    with Guard(make_microscope("nanonis", options(fake, watchdog_port=fake.third))) as guard:
        guard.scan()
        guard._watchdog._process.kill()
        guard._watchdog._process.wait()
        with pytest.raises(MicroscopeError, match="watchdog must run"):
            guard.scan()


def test_windows_closing_the_console_interrupts_and_waits_for_parking():
    class Kernel32:
        def __init__(self):
            self.handlers = []

        @staticmethod
        def handler(function):
            return function

        def SetConsoleCtrlHandler(self, handler, add):
            self.handlers.append(handler) if add else self.handlers.remove(handler)

    console = Kernel32()
    interrupts = Interrupts(console)
    interrupts.install()
    closing = console.handlers[0]
    assert not closing(1)  # Ctrl-Break is a signal and comes by itself
    interrupts._removed.set()
    with pytest.raises(KeyboardInterrupt):
        closing(2)
    interrupts.remove()
    assert console.handlers == []
