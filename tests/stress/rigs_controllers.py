"""Adapters of real controllers, each on its fake: Nanonis, source-meters, Asylum."""

import contextlib
import tempfile
from pathlib import Path

import fake_igor
import fake_keithley as keithley
import fake_nanonis
import numpy as np
import pytest
from rig import HEIGHT, PEAK, Arrived, Rig, counted

from grainscout.hardware.adapters import saved
from grainscout.hardware.adapters.asylum.microscope import AsylumMicroscope
from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope
from grainscout.hardware.adapters.parts import METERS, CompliantMicroscope


def _nanonis_log(fake):
    """What the controller's log says; x = X, y = -Y."""
    log = Arrived()
    for name, values in fake.log:
        if name == "FolMe.XYPosSet":
            log.places.append((values[0], -values[1]))
        elif name == "Bias.Set" and values[0] != 0.0:
            log.voltage.append(values[0])
        elif name == "BiasSpectr.TimingSet":
            log.slew = values[3]
        elif name == "BiasSpectr.Start":
            there = np.linspace(*fake.limits, fake.points)
            log.step_s = fake.step()
            log.voltage += [*there, *there[-2::-1]]
    return log


@contextlib.contextmanager
def _nanonis_fake():
    """(fake, adapter, a call that fails: it is answered by a hang-up, in the middle of a sweep)."""
    fake = fake_nanonis.FakeNanonis(HEIGHT, PEAK, angle=20.0)
    microscope = NanonisMicroscope(**fake_nanonis.QUICK, **fake.ports(), timeout_s=2.0, rail_A=1.0)

    def gone():
        fake.bias = 0.3
        return OSError("gone")

    try:
        yield fake, microscope, (fake, "_reply", gone)
    finally:
        microscope.close()
        fake.close()


@contextlib.contextmanager
def nanonis():
    """The Nanonis adapter through nanonis-spm, over TCP."""
    with _nanonis_fake() as (fake, microscope, reply):
        yield Rig(
            name="nanonis",
            microscope=microscope,
            scan=microscope.scan(),
            arrived=lambda: _nanonis_log(fake),
            parked=lambda: fake.bias == 0.0 and not fake.landed,
            clear=fake.log.clear,
            waveforms="triangle",
            **counted(reply),
        )


_WORDS = {
    "volts": (":SOUR:VOLT", "smua.source.levelv"),
    "most": (":SENS:CURR:PROT", "smua.source.limiti"),
    "output": (":OUTP", "smua.source.output"),
}


@contextlib.contextmanager
def source_meter(model):
    """A source-meter of pyvisa-sim with a Nanonis controller that moves the tip."""
    reading = "" if model == "2400" else "1e-9\tfalse"
    with tempfile.TemporaryDirectory() as folder, _nanonis_fake() as (fake, mover, reply):
        simulated = keithley.library(Path(folder) / "meter.yaml", model, reading=reading)
        options = {"resource": keithley.RESOURCE, "visa_library": simulated}
        options |= {"lag": 1e6, "watchdog": False, "rise_s": 1e-3}
        meter = METERS.make(f"keithley-{model}", options)
        connection = meter._meter.adapter.connection
        written, lines = connection.write, []

        def write(text, *args, **kwargs):
            lines.append(text)
            return written(text, *args, **kwargs)

        def told(what, since=0):
            """The values that were written for a thing, and 0 before."""
            parts = [line.replace("=", " ").partition(" ") for line in lines[since:]]
            return [0.0, *(float(v) for word, _, v in parts if word in _WORDS[what])]

        connection.write = write
        microscope, begun = CompliantMicroscope(mover, meter), [0]

        def arrived():
            log = _nanonis_log(fake)
            log.voltage += told("volts", begun[0])[1:]
            log.compliance = (told("most", begun[0])[1:] or [None])[-1]
            return log

        def clear():
            begun[0] = len(lines)
            fake.log.clear()

        try:
            yield Rig(
                name=f"source-meter {model}",
                microscope=microscope,
                scan=microscope.scan(),
                arrived=arrived,
                parked=lambda: (
                    told("output")[-1] == told("volts")[-1] == fake.bias == 0.0 and not fake.landed
                ),
                clear=clear,
                **counted((connection, "write", lambda: OSError("bus")), reply),
            )
        finally:
            connection.close()
            meter._meter.adapter.manager.close()


@contextlib.contextmanager
def asylum():
    """The Asylum adapter, straight to a fake Igor."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved, "_POLL", 0.0002)  # no pauses that wait for a disk
        folder = Path(place)
        fake = fake_igor.FakeIgor(folder, HEIGHT, PEAK, angle=20.0)
        fake.shape, fake.rate, fake.rail = "triangle", 2e6, 1.0
        quick = {"settle_s": 0.0, "stable_s": 0.001, "speed_m_per_s": 1e6, "timeout_s": 2.0}
        microscope = AsylumMicroscope(
            lambda: fake_igor.DirectIgor(fake),
            folder,
            shape="triangle",
            scan_timeout_s=5.0,
            rail_A=1.0,
            **quick,
        )
        scan, log, curve, v = microscope.scan(), Arrived(), fake.save_curve, fake.variables

        def save_curve():
            there = np.linspace(0.0, fake.amplitude, 3)
            # Where the tip is [m] with y down; the volts turned back by the fake's own calibration.
            x = (fake.setpoint[0] - v["XLVDTOffset"]) * v["XLVDTSens"]
            y = -(fake.setpoint[1] - v["YLVDTOffset"]) * v["YLVDTSens"]
            log.sweep([*there, *there[-2::-1]], 0.5 / fake.frequency, (x, y))
            if log.step_s > 1.0:  # the saved file would be large
                raise OSError("disk full")
            curve()

        def clear():
            log.clear()
            for path in folder.iterdir():
                path.unlink()

        fake.save_curve = save_curve
        try:
            yield Rig(
                name="asylum",
                microscope=microscope,
                scan=scan,
                arrived=lambda: log,
                parked=lambda: fake.bias == 0.0 and not fake.landed,
                clear=clear,
                tolerance=1e-12,
                waveforms="triangle",
                **counted((fake, "execute", lambda: ConnectionError("RPC"))),
            )
        finally:
            fake.hang.set()
