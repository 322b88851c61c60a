"""A fake Igor with the Asylum software: carries out commands, and saves images and curves as .ibw.

It sits behind the real packages: `com_modules` stands in for pywin32 (aecroscopywave), `popen` for the
program that aespm starts.  Its geometry is its own, written from the manual: rows count from the bottom,
N pixels span ScanSize from edge to edge, Y points up, a positive ScanAngle turns clockwise.
"""

import importlib
import math
import re
import struct
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

from grainscout.hardware.adapters.asylum import aecroscopy
from grainscout.hardware.adapters.asylum.microscope import Igor


def ibw(values: np.ndarray, labels: list[str], steps: tuple[float, ...], note: dict) -> bytes:
    """An Igor binary wave (version 5, TN003) of values[x, ..., layer], float32; layers are named."""
    text = "\r".join(f"{k}: {v}" for k, v in note.items()).encode()
    names = b"".join(n.encode().ljust(32, b"\0") for n in ["", *labels])
    sizes = [0, 0, 0, 0]
    sizes[values.ndim - 1] = len(names)
    data = values.astype("<f4").tobytes(order="F")
    header = struct.pack("<hh", 5, 0) + struct.pack(
        "<15i", 320 + len(data), 0, len(text), 0, *[0] * 4, *sizes, 0, 0, 0
    )
    body = bytearray(320)
    struct.pack_into("<ih", body, 12, values.size, 2)
    struct.pack_into("<4i", body, 68, *values.shape, *[0] * (4 - values.ndim))
    struct.pack_into("<4d", body, 84, *steps, *[1.0] * (4 - len(steps)))
    head = bytearray(header + bytes(body))
    total = sum(struct.unpack("<192h", head))
    struct.pack_into("<h", head, 2, ((-total + 2**15) % 2**16) - 2**15)
    return bytes(head) + data + text + names


class FakeIgor:
    """One instrument over a sample given as images with row 0 on top.

    faults : "stuck" (the loops take what they are told and the scanner stays), "slow" (it comes half of
        the way nearer at each look), "no file", "partial" (a cut file), "two files", "no reply" (hangs),
        "error" (COM refuses), "absent" (no Igor runs), "half sweep", "offset" (a forgotten bias offset), "no current", "lost samples",
        "holds on" (the tip does not come up).
    """

    def __init__(self, folder: Path, height: np.ndarray, peak: np.ndarray, angle: float = 0.0):
        self.folder, self.height, self.peak = folder, height, peak
        rows, columns = height.shape
        self.variables = {
            "ScanSize": 1e-6,
            "FastRatio": 1.0,
            "SlowRatio": (columns - 1) / (rows - 1),
            "ScanAngle": angle,
            "XOffset": 2e-7,
            "YOffset": -3e-7,
            "XLVDTSens": 2e-6,
            "YLVDTSens": -2.5e-6,
            "XLVDTOffset": 0.1,
            "YLVDTOffset": -0.2,
            "ScanPoints": float(columns),
            "ScanLines": float(rows),
        }
        self.setpoint, self.sensor = [0.1, -0.2], [0.1, -0.2]
        self.bias, self.count = 0.3, 0
        self.contact_of = (False, False, 0.0)  # before, after, and when it changes
        self.land_s = self.withdraw_s = 0.0
        self.in_air = self.dragged = 0
        self.scan_biases: list[float] = []
        self.amplitude, self.frequency, self.shape = 1.0, 1.0, "triangle"
        self.rail, self.rate = 20e-9, 2000.0
        self.faults: set[str] = set()
        self.log: list[str] = []
        self.waves: dict[str, list[float]] = {}
        self.hang = threading.Event()

    @property
    def landed(self) -> bool:
        before, after, when = self.contact_of
        return after if time.monotonic() >= when else before

    @landed.setter
    def landed(self, down: bool) -> None:
        self.contact_of = (down, down, 0.0)

    def fly(self, down: bool, seconds: float) -> None:
        self.contact_of = (self.landed, down, time.monotonic() + seconds)

    def deflection(self) -> float:
        return 0.5 if self.landed else 0.1

    def z(self) -> float:
        """Z sensor [V]: on the way until it arrives."""
        _, after, when = self.contact_of
        return float(after) + max(0.0, when - time.monotonic())

    # What Igor is told.

    def execute(self, line: str) -> None:
        if "no reply" in self.faults:
            self.hang.wait(5)
        self.log.append(line)
        if found := re.search(r'ARExecuteControl\("(\w+)", ?"(\w+)", ?([^,]*), ?"([^"]*)"\)', line):
            self.control(found[1], found[2], float(found[3]))
        elif found := re.match(r"td_SetRamp\([\d.]+,\"\$outputXloop.Setpoint\",0,([^,]+),", line):
            y = re.search(r"\"\$outputYloop.Setpoint\",0,([^,]+),", line)[1]
            self.move(0, float(found[1]))
            self.move(1, float(y))
        elif found := re.match(r'td_WriteValue\("PIDSLoop\.(\d)\.Setpoint",(.*)\)', line):
            self.move(int(found[1]), float(found[2]))
        elif found := re.match(r"Make/O/D/N=2 root:(\w+) = ", line):
            names = re.findall(r'td_ReadValue\("([^"]*)"\)', line)
            self.waves[found[1]] = [self.value(name) for name in names]
        elif found := re.match(r'ReadOut\[(\d)\] = td_ReadValue\("([^"]*)"\)', line):
            self.waves.setdefault("ReadOut", [0.0, 0.0])[int(found[1])] = self.value(found[2])
        elif found := re.match(r'Save/O/G/J ReadOut as "(.*)"', line):
            Path(found[1].replace("\\\\", "\\")).write_text(
                "\r\n".join(str(v) for v in self.waves["ReadOut"])
            )
        elif "SimpleEngageMe" in line:
            self.fly(True, self.land_s)
        elif "StopEngageButton" in line:
            self.fly(self.landed and "holds on" in self.faults, self.withdraw_s)
        elif not line.startswith("Make/N"):
            raise ValueError(f"unknown Igor command: {line}")

    def move(self, axis: int, volts: float) -> None:
        self.dragged += self.landed
        self.setpoint[axis] = volts
        if not self.faults & {"stuck", "slow"}:
            self.sensor[axis] = volts

    def value(self, name: str) -> float:
        loops = ["$outputXloop.Setpoint", "$outputYloop.Setpoint"]
        loops += ["PIDSLoop.0.Setpoint", "PIDSLoop.1.Setpoint"]
        if name in ("Deflection", "ZSensor"):
            return self.deflection() if name == "Deflection" else self.z()
        if name in loops:
            return self.setpoint[loops.index(name) % 2]
        axis = ["XSensor", "YSensor"].index(name)
        if "slow" in self.faults:
            self.sensor[axis] += 0.5 * (self.setpoint[axis] - self.sensor[axis])
        return self.sensor[axis]

    def control(self, name: str, panel: str, value: float) -> None:
        if name == "DownScan_0":
            self.landed = True
            self.scan_biases.append(self.bias)
            self.save_image()
        elif name.lower() == "ardoivdoitbutton_1":
            self.save_curve()
        elif name == "ARDoIVAmpSetVar_1":
            self.amplitude = value
        elif name == "ARDoIVFrequencySetVar_1":
            self.frequency = value
        elif name == "TipVoltageSetVar_0":
            self.bias = value
        elif name not in ("SurfaceVoltageSetVar_0", "LastScanPopup_0"):
            raise ValueError(f"unknown control {name} of {panel}")

    # What it saves.

    def save(self, name: str, data: bytes) -> None:
        if "no file" in self.faults:
            return
        for copy in range(2 if "two files" in self.faults else 1):
            self.count += 1
            cut = data[: len(data) * 2 // 3] if "partial" in self.faults else data
            (self.folder / f"{name}{self.count:04d}_{copy}.ibw").write_bytes(cut)

    def save_image(self) -> None:
        v = self.variables
        rows, columns = self.height.shape
        steps = (
            v["ScanSize"] / v["FastRatio"] / (columns - 1),
            v["ScanSize"] / v["SlowRatio"] / (rows - 1),
        )
        layers = np.stack([self.height[::-1].T, self.peak[::-1].T], axis=2)  # [x, y upwards]
        names = [
            "HeightRetrace",
            "PhaseRetrace" if "no current" in self.faults else "CurrentRetrace",
        ]
        self.save("Image", ibw(layers, names, steps, v))

    def save_curve(self) -> None:
        duration = (0.5 if self.shape == "triangle" else 1.0) / self.frequency
        count = round(duration * self.rate) + 1
        if "half sweep" in self.faults:
            count //= 2
        turns = [0, 0.5, 1] if self.shape == "triangle" else [0, 0.25, 0.75, 1]
        levels = [0, 1, 0] if self.shape == "triangle" else [0, 1, -1, 0]
        phase = np.arange(count) / self.rate / duration
        bias = self.amplitude * np.interp(phase, turns, levels)
        if "offset" in self.faults:
            bias = bias + 0.1
        self.in_air += not self.landed
        here = self.peak[self.pixel()] if self.landed else 0.0
        current = np.clip(here * bias, -self.rail, self.rail)
        if "lost samples" in self.faults:
            current[count // 3 : count // 2] = np.nan
        idle = np.full(7, np.nan)
        columns = np.stack(
            [np.concatenate([idle, c, idle]) for c in (np.zeros(count), current, bias)], axis=1
        )
        self.save("IV", ibw(columns, ["Defl", "Current", "Bias"], (1 / self.rate,), self.variables))

    def pixel(self) -> tuple[int, int]:
        """Row (0 on top) and column under the tip."""
        v, rows, columns = self.variables, *self.height.shape
        x = (self.sensor[0] - v["XLVDTOffset"]) * v["XLVDTSens"] - v["XOffset"]
        y = (self.sensor[1] - v["YLVDTOffset"]) * v["YLVDTSens"] - v["YOffset"]
        turn = math.radians(v["ScanAngle"])
        along = x * math.cos(turn) - y * math.sin(turn)
        up = x * math.sin(turn) + y * math.cos(turn)
        column = (along / (v["ScanSize"] / v["FastRatio"]) + 0.5) * (columns - 1)
        from_bottom = (up / (v["ScanSize"] / v["SlowRatio"]) + 0.5) * (rows - 1)
        return rows - 1 - round(from_bottom), round(column)

    # What the packages see.

    def com_modules(self) -> dict[str, types.ModuleType]:
        """win32com.client and pythoncom."""
        pythoncom = types.ModuleType("pythoncom")
        pythoncom.com_error = type("com_error", (Exception,), {})
        pythoncom.CoInitialize = lambda: None
        client = types.ModuleType("win32com.client")
        package = types.ModuleType("win32com")
        package.client = client
        client.Dispatch = lambda name: self.com(pythoncom.com_error)
        return {"pythoncom": pythoncom, "win32com": package, "win32com.client": client}

    def com(self, error: type[Exception]) -> "_Com":
        if "absent" in self.faults:
            raise error("Invalid class string")
        return _Com(self, error)

    def popen(self, commands: Path):
        """What stands in for `Popen`: runs the command file, line by line."""
        fake = self

        class Popen:
            def __init__(self, program: str) -> None:
                for line in commands.read_text(encoding="utf-8").splitlines():
                    if "error" not in fake.faults and line.strip():
                        fake.execute(line.split(" //")[0].strip())

            def wait(self) -> int:
                return 0

        return Popen


class _Com:
    def __init__(self, fake: FakeIgor, error: type[Exception]) -> None:
        self.fake, self.error = fake, error

    def Execute(self, line: str) -> None:
        if "error" in self.fake.faults:
            raise self.error("RPC server is unavailable")
        self.fake.execute(line.removeprefix("print "))

    def DataFolder(self, path: str) -> "_Com":
        return self

    def Wave(self, name: str):
        if name == "MasterVariablesWave":
            keys = list(self.fake.variables)
            return types.SimpleNamespace(
                GetDimensions=lambda: (0, len(keys)),
                DimensionLabel=lambda _, i, __: keys[i],
                GetNumericWavePointValue=lambda i: self.fake.variables[keys[i]],
            )
        return types.SimpleNamespace(GetNumericWavePointValue=lambda i: self.fake.waves[name][i])


class DirectIgor(Igor):
    """The fake without a package in between: the adapter's own part, where no package can be installed."""

    errors = (ConnectionError,)
    loops = ("$outputXloop.Setpoint", "$outputYloop.Setpoint")

    def __init__(self, fake: FakeIgor) -> None:
        self.fake = fake

    def execute(self, command: str) -> None:
        if "error" in self.fake.faults:
            raise ConnectionError("RPC server is unavailable")
        self.fake.execute(command)

    def press(self, control: str, panel: str, value: float = 0.0) -> None:
        self.execute(f'ARExecuteControl("{control}", "{panel}", {value}, "")')

    def read(self, names: tuple[str, str]) -> tuple[float, float]:
        values = ", ".join(f'td_ReadValue("{name}")' for name in names)
        self.execute(f"Make/O/D/N=2 root:here = {{{values}}}")
        x, y = self.fake.waves["here"]
        return x, y

    def ramp(self, start, end, seconds: float) -> None:
        x, y = (f'"$output{a}loop.Setpoint",0,{v:.6f}' for a, v in zip("XY", end, strict=True))
        self.execute(f'td_SetRamp({seconds:.6f},{x},{y},"",0,0,"")')

    def image(self) -> None:
        self.press("DownScan_0", "MasterPanel")

    def sweep(self) -> None:
        self.press("ARDoIVDoItButton_1", "ARDoIVPanel")


def install(kind: str, igor: FakeIgor, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Put a fake Igor behind a package, or ("direct") in place of it."""
    if kind == "direct":
        patch.setattr(aecroscopy, "CypherIgor", lambda: DirectIgor(igor))
    elif kind == "aecroscopy":
        for name, module in igor.com_modules().items():
            patch.setitem(sys.modules, name, module)
        for name in [n for n in sys.modules if n.startswith("aecroscopywave")]:
            patch.delitem(sys.modules, name)
    else:
        module = importlib.import_module("aespm").experiment
        commands = folder / "ToIgor.arcmd"
        patch.setattr(module, "_command_buffer", str(commands))
        patch.setattr(module, "_read_out_buffer", str(folder / "readout.txt"))
        patch.setattr(module, "Popen", igor.popen(commands))
        # The package sleeps for 0.35 s after every command.
        patch.setattr(module, "time", types.SimpleNamespace(sleep=lambda _: None))
