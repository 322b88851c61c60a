"""Adapters of real controllers, each on its fake: Nanonis, source-meters, Asylum."""

import contextlib
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_igor
import fake_keithley as keithley
import fake_nanonis
import numpy as np
from rig import HEIGHT, PEAK, Arrived, Rig, counted

from grainscout.hardware.adapters.asylum import files
from grainscout.hardware.adapters.asylum import microscope as asylum_microscope
from grainscout.hardware.adapters.asylum.aespm import AespmIgor
from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope
from grainscout.hardware.adapters.parts import METERS, CompliantMicroscope


def _nanonis_log(fake: Any, log: Arrived) -> Arrived:
    """What the controller's log says; x = X, y = -Y."""
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
def _nanonis_fake() -> Iterator[tuple[Any, NanonisMicroscope]]:
    fake = fake_nanonis.FakeNanonis(HEIGHT, PEAK, angle=20.0)
    microscope = NanonisMicroscope(**fake_nanonis.QUICK, **fake.ports(), timeout_s=2.0, rail_A=1.0)
    try:
        yield fake, microscope
    finally:
        microscope.close()
        fake.close()


def _nanonis_faults(fake: Any) -> tuple[Any, Any]:
    """The n-th command that reaches the controller is answered by a hang-up, in the middle of a sweep."""

    def gone() -> OSError:
        fake.bias = 0.3
        return OSError("gone")

    return counted(fake, ["_reply"], gone)


@contextlib.contextmanager
def nanonis() -> Iterator[Rig]:
    """The Nanonis adapter through nanonis-spm, over TCP."""
    with _nanonis_fake() as (fake, microscope):
        scan = microscope.scan()
        fail_at, calls = _nanonis_faults(fake)
        yield Rig(
            name="nanonis",
            microscope=microscope,
            scan=scan,
            arrived=lambda: _nanonis_log(fake, Arrived()),
            parked=lambda: fake.bias == 0.0 and not fake.landed,
            clear=fake.log.clear,
            fail_at=fail_at,
            calls=calls,
            waveforms="triangle",
        )


def source_meter(model: str) -> Any:
    @contextlib.contextmanager
    def rig() -> Iterator[Rig]:
        reading = "" if model == "2400" else "1e-9\tfalse"
        with tempfile.TemporaryDirectory() as folder, _nanonis_fake() as (fake, mover):
            simulated = keithley.library(Path(folder) / "meter.yaml", model, reading=reading)
            options = {
                "resource": keithley.RESOURCE,
                "visa_library": simulated,
                "lag": 1e6,
                "watchdog": False,
                "rise_s": 1e-3,
            }
            meter: Any = METERS.make(f"keithley-{model}", options)
            connection = meter._meter.adapter.connection
            lines: list[str] = []
            state = {"volts": 0.0, "on": False}
            written = connection.write

            def write(text: str, *args: Any, **kwargs: Any) -> Any:
                lines.append(text)
                result = written(text, *args, **kwargs)
                word, _, value = text.replace("=", " ").partition(" ")
                if word in (":SOUR:VOLT", "smua.source.levelv"):
                    state["volts"] = float(value)
                elif word in (":OUTP", "smua.source.output"):
                    state["on"] = value.strip() not in ("0", "OFF")
                return result

            connection.write = write
            microscope = CompliantMicroscope(mover, meter)
            scan = microscope.scan()
            visa_fail, visa_calls = counted(connection, ["write"], lambda: OSError("bus"))
            fake_fail, fake_calls = _nanonis_faults(fake)

            def arrived() -> Arrived:
                log = _nanonis_log(fake, Arrived())
                for line in lines:
                    word, _, value = line.replace("=", " ").partition(" ")
                    if word in (":SOUR:VOLT", "smua.source.levelv"):
                        log.voltage.append(float(value))
                    elif word in (":SENS:CURR:PROT", "smua.source.limiti"):
                        log.compliance = float(value)
                return log

            def clear() -> None:
                lines.clear()
                fake.log.clear()

            split = {"visa": 0}

            def calls() -> int:
                split["visa"] = visa_calls()
                return int(visa_calls() + fake_calls())

            def fail_at(n: int) -> None:
                visa_fail(n if n < split["visa"] else -1)
                fake_fail(max(-1, n - split["visa"]))

            try:
                yield Rig(
                    name=f"source-meter {model}",
                    microscope=microscope,
                    scan=scan,
                    arrived=arrived,
                    parked=lambda: (
                        not state["on"]
                        and state["volts"] == 0.0
                        and fake.bias == 0.0
                        and not fake.landed
                    ),
                    clear=clear,
                    fail_at=fail_at,
                    calls=calls,
                )
            finally:
                connection.close()
                meter._meter.adapter.manager.close()

    return rig


@contextlib.contextmanager
def _faster() -> Iterator[None]:
    """Without the pauses that wait for a disk."""
    kept, files._POLL = files._POLL, 0.0002
    try:
        yield
    finally:
        files._POLL = kept


def _aespm_package(fake: Any, folder: Path) -> types.ModuleType:
    """The four functions of ``aespm.experiment`` that are used, straight to the fake Igor."""
    package, experiment = types.ModuleType("aespm"), types.ModuleType("aespm.experiment")
    buffer = folder / "readout.txt"

    def read_spm(key: list[str], commands: str) -> Any:
        for line in commands.splitlines():
            fake.execute(line)
        return [float(v) for v in buffer.read_text().split()]

    def move_tip(r: list[float], v0: list[float], s: list[float]) -> None:
        for axis in (0, 1):
            volts = v0[axis] + r[axis] / s[axis]
            fake.execute(f'td_WriteValue("PIDSLoop.{axis}.Setpoint",{volts})')

    def spm_control(action: str) -> None:
        control = {"DownScan": "DownScan_0", "IVDoIt": "ARDoIVDoItButton_1"}[action]
        fake.execute(f'ARExecuteControl("{control}","Panel",0,"")')

    for function in (read_spm, move_tip, spm_control):
        setattr(experiment, function.__name__, function)
    experiment.write_spm = fake.execute  # type: ignore[attr-defined]
    experiment._read_out_buffer = str(buffer)  # type: ignore[attr-defined]
    package.experiment = experiment  # type: ignore[attr-defined]
    return package


def asylum(name: str) -> Any:
    @contextlib.contextmanager
    def rig() -> Iterator[Rig]:
        with tempfile.TemporaryDirectory() as place, _faster():
            folder = Path(place) / "saved"
            folder.mkdir()
            fake = fake_igor.FakeIgor(folder, HEIGHT, PEAK, angle=20.0)
            fake.shape, fake.rate, fake.rail = "triangle", 2e6, 1.0
            before = {k: sys.modules.get(k) for k in ("aespm", "aespm.experiment")}
            if name == "aespm":
                package = _aespm_package(fake, Path(place))
                sys.modules |= {"aespm": package, "aespm.experiment": package.experiment}
                make: Callable[[], Any] = lambda: AespmIgor(10.0, 1.0)  # noqa: E731
            else:
                make = lambda: fake_igor.DirectIgor(fake)  # noqa: E731
            microscope = asylum_microscope.AsylumMicroscope(
                make,
                folder,
                shape="triangle",
                settle_s=0.0,
                stable_s=0.001,
                speed_m_per_s=1e6,
                timeout_s=2.0,
                scan_timeout_s=5.0,
                rail_A=1.0,
            )
            scan = microscope.scan()
            log = Arrived()
            curve = fake.save_curve

            def save_curve() -> None:
                there = np.linspace(0.0, fake.amplitude, 3)
                log.voltage += [*there, *there[-2::-1]]
                log.step_s = 0.5 / fake.frequency
                log.places.append(_asylum_place(fake))
                if log.step_s > 1.0:  # the saved file would be large
                    raise OSError("disk full")
                curve()

            fake.save_curve = save_curve

            def clear() -> None:
                log.clear()
                for path in folder.iterdir():
                    path.unlink()

            fail_at, calls = counted(fake, ["execute"], lambda: ConnectionError("RPC"))
            try:
                yield Rig(
                    name=name,
                    microscope=microscope,
                    scan=scan,
                    arrived=lambda: log,
                    parked=lambda: fake.bias == 0.0 and not fake.landed,
                    clear=clear,
                    fail_at=fail_at,
                    calls=calls,
                    tolerance=1e-12,
                    waveforms="triangle",
                )
            finally:
                fake.hang.set()
                for key, module in before.items():
                    if module is None:
                        sys.modules.pop(key, None)
                    else:
                        sys.modules[key] = module
                shutil.rmtree(folder, ignore_errors=True)

    return rig


def _asylum_place(fake: Any) -> tuple[float, float]:
    """Where the tip is [m] with y down; the sensor's volts turned back by the fake's own calibration."""
    v = fake.variables
    return (
        (fake.setpoint[0] - v["XLVDTOffset"]) * v["XLVDTSens"],
        -(fake.setpoint[1] - v["YLVDTOffset"]) * v["YLVDTSens"],
    )
