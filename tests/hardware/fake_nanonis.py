"""A fake Nanonis controller: speaks the documented frames over TCP and has faults on demand.

Its tip takes time to land and to withdraw, its modules are in the state in which somebody left them, and
its three ports work on one instrument: one can stop what another waits for.
"""

import math
import struct
import threading
import time

import numpy as np
from nanonis_wire import Wire, table, text, texts
from scipy.ndimage import map_coordinates

SLOTS = ["Bias (V)", "Current (A)", "Input 3 (V)", "Z (m)", "Deflection (V)"]
#: What an adapter is told so that the fake takes it at once.
QUICK = {"settle_s": 0.0, "stable_s": 0.005, "land_timeout_s": 2.0, "withdraw_timeout_s": 1.0}
QUICK |= {"controller": "Deflection", "setpoint": 0.5, "speed_m_per_s": 1e-3}


class FakeNanonis(Wire):
    """One controller over a sample given as images with row 0 on top.

    faults : as of the wire, and "stuck" for a tip that stays.
    drift : rows and columns [pixels] by which the sample has moved.
    """

    def __init__(
        self,
        height: np.ndarray,
        peak: np.ndarray,
        *,
        angle: float = 0.0,
        up: bool = False,
        listens: bool = True,
    ):
        self.height, self.peak, self.angle, self.up = height, peak, angle, up
        self.drift, self.met = (lambda: (0.0, 0.0)), []
        self.frame = self.home = (1e-6, 2e-6, 1e-8 * height.shape[1], 1e-8 * height.shape[0])
        self.product, self.version = "Nanonis SPM Control Software", "Generic 5"
        super().__init__()
        self.xy, self.bias = (0.0, 0.0), 0.3
        self.limits, self.points, self.back = (0.0, 1.0), 5, True
        self.slew, self.hold = 1.0, 0.0
        self.samples_lost = self.dragged = self.in_air = 0
        self.rail = 10e-9
        # The tip: where Z was, when, and where it goes; how long that takes.
        self.ends, self.surface = (1e-6, -1e-6), 2e-7
        self.land_s = self.withdraw_s = 0.0
        self.moving, self.status = (1e-6, 0.0, 1e-6, 0.0), 1
        self.lift = 0.0
        self.safe_tip = self.never_up = False
        # What somebody left.
        self.controllers, self.active, self.setpoint = ["log Current", "Deflection"], 1, 0.5
        self.modulators, self.continuous, self.gain = [False, False], False, 1
        self.state = {
            "FolMe.Speed": struct.pack(">fI", 5e-7, 0),
            "BiasSpectr.Limits": struct.pack(">2f", -0.7, 0.7),
            "BiasSpectr.Timing": struct.pack(">8f", *np.arange(8.0)),
            "BiasSpectr.AdvProps": struct.pack(">4H", 1, 0, 0, 0),
            "BiasSpectr.AltZCtrl": struct.pack(">H2f", 1, 5.0, 0.1),
            "BiasSpectr.MLSMode": text("MLS"),
            "Scan.Buffer": struct.pack(">i2i2i", 2, 0, 3, *height.shape[::-1]),
            "ZCtrl.TipLift": struct.pack(">f", 3e-8),
        }
        # How long it works, and what stops it.
        self.busy_s = {"scan": 0.0, "sweep": 0.0, "move": 0.0}
        self.stopped, self.working = threading.Event(), threading.Event()
        if listens:
            self.listen()

    def ports(self) -> dict[str, int]:
        """Options of an adapter, without a watchdog."""
        return {"port": self.port, "emergency_port": self.second, "watchdog_port": 0}

    def close(self) -> None:
        self.stop = True
        self.stopped.set()
        for listener in self.listeners:
            listener.close()

    # The tip.

    def z(self) -> float:
        start, begun, end, seconds = self.moving
        done = 1.0 if seconds == 0 else min(1.0, (time.monotonic() - begun) / seconds)
        return start + (end - start) * done

    def fly(self, end: float, seconds: float) -> None:
        self.moving = (self.z(), time.monotonic(), end, seconds)

    @property
    def landed(self) -> bool:
        return self.z() <= self.surface

    @landed.setter
    def landed(self, down: bool) -> None:
        self.fly(self.surface if down else self.ends[0], 0.0)
        self.status = 2 if down else 1

    def deflection(self) -> float:
        return self.setpoint if self.landed else 0.05

    def work(self, what: str) -> None:
        """Block as the controller does, until it is done or stopped."""
        if not self.busy_s[what]:
            return
        self.stopped.clear()
        self.working.set()
        self.stopped.wait(self.busy_s[what])
        self.working.clear()

    # The sample.

    def met_at(self, x: float, y: float) -> tuple[float, float]:
        """Row (0 on top) and column of the sample at a place, in parts of a pixel."""
        cx, cy, width, height = self.home
        turn = math.radians(self.angle)  # clockwise
        dx, dy, drift = x - cx, y - cy, self.drift()
        along = dx * math.cos(turn) - dy * math.sin(turn)
        up = dx * math.sin(turn) + dy * math.cos(turn)
        rows, columns = self.height.shape
        return (0.5 - up / height) * rows - drift[0], (0.5 + along / width) * columns - drift[1]

    def pixel(self) -> tuple[int, int]:
        """Row and column under the tip."""
        row, column = self.met_at(*self.xy)
        return math.floor(row), math.floor(column)

    def seen(self, image: np.ndarray) -> np.ndarray:
        """An image of the frame as it is set, top line first."""
        columns, rows = struct.unpack(">2i", self.state["Scan.Buffer"][-8:])
        (cx, cy, width, height), turn = self.frame, math.radians(self.angle)
        down, right = np.mgrid[:rows, :columns] + 0.5
        along, up = (right / columns - 0.5) * width, (0.5 - down / rows) * height
        x = cx + along * math.cos(turn) + up * math.sin(turn)
        y = cy - along * math.sin(turn) + up * math.cos(turn)
        at = np.round(np.array(self.met_at(x, y)) - 0.5, 5)
        return map_coordinates(image, at, order=1, mode="nearest")

    # The commands.

    def do_Util_VersionGet(self, body: bytes) -> bytes:
        return text(self.product) + text(self.version) + struct.pack(">II", 14000, 14000)

    def store(self, module: str, body: bytes) -> bytes:
        """Keep what is set as it will be read: a switch of 1 or 2 is read as 1 or 0; 0 changes nothing."""
        if module in ("BiasSpectr.AdvProps", "BiasSpectr.AltZCtrl"):
            count = 4 if module.endswith("Props") else 1
            old = struct.unpack(f">{count}H", self.state[module][: 2 * count])
            new = struct.unpack(f">{count}H", body[: 2 * count])
            kept = [o if n == 0 else n % 2 for o, n in zip(old, new, strict=True)]
            body = struct.pack(f">{count}H", *kept) + body[2 * count :]
        self.state[module] = body
        return b""

    def do_ZCtrl_CtrlListGet(self, body: bytes) -> bytes:
        return texts(self.controllers) + struct.pack(">i", self.active)

    def do_ZCtrl_SetpntGet(self, body: bytes) -> bytes:
        return struct.pack(">f", self.setpoint)

    def do_ZCtrl_LimitsGet(self, body: bytes) -> bytes:
        return struct.pack(">2f", *self.ends)

    def do_ZCtrl_ZPosGet(self, body: bytes) -> bytes:
        return struct.pack(">f", self.z())

    def do_ZCtrl_StatusGet(self, body: bytes) -> bytes:
        if self.status == 6 and self.z() == self.moving[2]:
            self.status = 1
        return struct.pack(">H", self.status)

    def do_Signals_ValGet(self, body: bytes) -> bytes:
        return struct.pack(">f", self.deflection())

    def do_Bias_Get(self, body: bytes) -> bytes:
        return struct.pack(">f", self.bias)

    def do_Bias_CalibrGet(self, body: bytes) -> bytes:
        return struct.pack(">2f", 1.0, 0.0)

    def do_Current_CalibrGet(self, body: bytes) -> bytes:
        return struct.pack(">2d", 1e-9, 0.0)

    def do_Current_GainsGet(self, body: bytes) -> bytes:
        gains = texts(["1E+8 V/A", "1E+9 V/A"]) + struct.pack(">i", self.gain)
        return gains + texts(["full", "1 kHz"]) + struct.pack(">i", 0)

    def do_LockIn_ModOnOffGet(self, body: bytes) -> bytes:
        number = struct.unpack(">i", body)[0]
        if number > len(self.modulators):
            raise ValueError("Invalid modulator")
        return struct.pack(">I", self.modulators[number - 1])

    def do_Scan_PropsGet(self, body: bytes) -> bytes:
        rest = text("name") + text("") + texts(["Z"]) + struct.pack(">2i2iI", 1, 1, 0, 0, 0)
        return struct.pack(">3I", self.continuous, 0, 2) + rest

    def do_BiasSpectr_PropsGet(self, body: bytes) -> bytes:
        return struct.pack(">HiHi", 0, 3, 1, 77) + texts(["Bias (V)"]) + texts([]) + texts([])

    def do_BiasSpectr_Stop(self, body: bytes) -> bytes:
        self.log.append(("BiasSpectr.Stop", ()))
        self.stopped.set()
        return b""

    def do_FolMe_Stop(self, body: bytes) -> bytes:
        self.log.append(("FolMe.Stop", ()))
        self.stopped.set()
        return b""

    def do_Signals_InSlotsGet(self, body: bytes) -> bytes:
        indexes = [24, 0, 2, 30, 31]
        return texts(SLOTS) + struct.pack(f">i{len(indexes)}i", len(indexes), *indexes)

    def do_FolMe_SpeedSet(self, body: bytes) -> bytes:
        self.take("FolMe.SpeedSet", "fI", body)
        return self.store("FolMe.Speed", body)

    def do_Bias_Set(self, body: bytes) -> bytes:
        (self.bias,) = self.take("Bias.Set", "f", body)
        return b""

    def do_ZCtrl_Withdraw(self, body: bytes) -> bytes:
        self.take("ZCtrl.Withdraw", "Ii", body)
        if not self.never_up:
            self.fly(self.ends[0], self.withdraw_s)
            self.status = 6
        return b""

    def do_ZCtrl_OnOffSet(self, body: bytes) -> bytes:
        if self.take("ZCtrl.OnOffSet", "I", body)[0]:
            self.status = 5 if self.safe_tip else 2
            self.fly(self.surface, self.land_s)
        else:
            self.status = 6
            self.fly(self.z() + struct.unpack(">f", self.state["ZCtrl.TipLift"])[0], 0.0)
        return b""

    def do_FolMe_XYPosSet(self, body: bytes) -> bytes:
        x, y, _ = self.take("FolMe.XYPosSet", "ddI", body)
        self.dragged += self.landed
        self.work("move")
        if self.faults.get("FolMe.XYPosSet") != "stuck":
            self.xy = (x, y)
        return b""

    def do_FolMe_XYPosGet(self, body: bytes) -> bytes:
        return struct.pack(">dd", *self.xy)

    def do_Scan_BufferSet(self, body: bytes) -> bytes:
        count = struct.unpack(">i", body[:4])[0]
        *_, columns, lines = self.take("Scan.BufferSet", f"i{count}iii", body)
        if self.height.shape[1] % 16 == 0:  # as the module coerces it
            body = body[:-8] + struct.pack(">2i", max(16, 16 * round(columns / 16)), lines)
        return self.store("Scan.Buffer", body)

    def do_Scan_Action(self, body: bytes) -> bytes:
        action, _ = self.take("Scan.Action", "HI", body)
        if action == 1:
            self.stopped.set()
        else:
            self.in_air += not self.landed
        return b""

    def do_Scan_WaitEndOfScan(self, body: bytes) -> bytes:
        self.work("scan")
        late = 1 if self.faults.get("scan") == "late" else 0
        return struct.pack(">II", late, 0)

    def do_Scan_FrameSet(self, body: bytes) -> bytes:
        *frame, self.angle = self.take("Scan.FrameSet", "5f", body)
        self.frame = tuple(frame)
        return b""

    def do_Scan_FrameGet(self, body: bytes) -> bytes:
        return struct.pack(">5f", *self.frame, self.angle)

    def do_Scan_FrameDataGrab(self, body: bytes) -> bytes:
        slot, _ = self.take("Scan.FrameDataGrab", "II", body)
        image = {3: self.height, 1: self.peak}.get(int(slot), np.zeros_like(self.height))
        name = SLOTS[int(slot)] if slot < len(SLOTS) else ""
        # Rows come in the order in which they were scanned.
        image = self.seen(image)
        scanned = image[::-1] if self.up else image
        return text(name) + table(scanned) + struct.pack(">I", self.up)

    def do_BiasSpectr_PropsSet(self, body: bytes) -> bytes:
        values = self.take("BiasSpectr.PropsSet", "HiHifHH", body)
        self.points, self.back = int(values[3]), values[2] == 1
        return b""

    def do_BiasSpectr_LimitsSet(self, body: bytes) -> bytes:
        self.limits = self.take("BiasSpectr.LimitsSet", "ff", body)
        return self.store("BiasSpectr.Limits", body)

    def do_BiasSpectr_TimingSet(self, body: bytes) -> bytes:
        values = self.take("BiasSpectr.TimingSet", "8f", body)
        self.slew, self.hold = values[3], values[4] + values[5]
        return self.store("BiasSpectr.Timing", body)

    def do_BiasSpectr_AdvPropsSet(self, body: bytes) -> bytes:
        self.take("BiasSpectr.AdvPropsSet", "4H", body)
        return self.store("BiasSpectr.AdvProps", body)

    def do_BiasSpectr_AltZCtrlSet(self, body: bytes) -> bytes:
        self.take("BiasSpectr.AltZCtrlSet", "Hff", body)
        return self.store("BiasSpectr.AltZCtrl", body)

    def do_BiasSpectr_MLSValsSet(self, body: bytes) -> bytes:
        count = struct.unpack(">i", body[:4])[0]
        values = self.take("BiasSpectr.MLSValsSet", f"i{count * 5}f{count * 2}i", body)
        self.segments = np.array(values[1:]).reshape(7, count)
        return b""

    def step(self) -> float:
        """Seconds from sample to sample: the ramp there, settling, integration."""
        start, end = self.limits
        return abs(end - start) / (self.points - 1) / self.slew + self.hold

    def applied(self) -> np.ndarray:
        """Volts of the next sweep: a line, or the segments one after another."""
        if self.state["BiasSpectr.MLSMode"] == text("Linear"):
            return np.linspace(*self.limits, self.points)
        starts, ends, *_, counts, _ = self.segments
        return np.concatenate(
            [np.linspace(a, b, int(n)) for a, b, n in zip(starts, ends, counts, strict=True)]
        )

    def do_BiasSpectr_Start(self, body: bytes) -> bytes:
        self.log.append(("BiasSpectr.Start", ()))
        self.met.append(self.met_at(*self.xy))
        self.in_air += not self.landed
        volts = self.applied()
        self.work("sweep")
        if self.stopped.is_set() and self.busy_s["sweep"]:
            volts = volts[: len(volts) // 2]
        alternate, force, _ = struct.unpack(">Hff", self.state["BiasSpectr.AltZCtrl"])
        here = self.peak[self.pixel()] if self.landed else 0.0
        here *= force / self.setpoint if alternate else 1.0
        forward = np.clip(here * volts / max(abs(volts).max(), 1e-9), -self.rail, self.rail)
        bent = np.full(len(volts), self.deflection())
        table_of = {"Bias calc (V)": volts, "Current (A)": forward, "Deflection (V)": bent}
        if self.back:
            table_of |= {"Current [bwd] (A)": 0.5 * forward, "Deflection [bwd] (V)": bent}
        data = np.array(list(table_of.values()))[:, : len(volts) - self.samples_lost]
        return texts(list(table_of)) + table(data) + struct.pack(">i2f", 2, 0.0, 0.0)
