"""A fake Nanonis controller: speaks the documented frames over TCP and has faults on demand.

Request: command (32 bytes), body size (u32), send-response flag (u16), two zero bytes, body.  Response:
command, body size, four zero bytes, body with, last, the error status (u32), its text's size (i32) and
the text.  All numbers are big endian.
"""

import math
import socket
import struct
import threading

import numpy as np

SLOTS = ["Bias (V)", "Current (A)", "Input 3 (V)", "Z (m)"]


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">i", len(raw)) + raw


def texts(values: list[str]) -> bytes:
    packed = b"".join(text(v) for v in values)
    return struct.pack(">ii", len(packed), len(values)) + packed


def table(values: np.ndarray) -> bytes:
    return struct.pack(">ii", *values.shape) + values.astype(">f4").tobytes()


class FakeNanonis:
    """One controller over a sample given as images with row 0 on top.

    faults : command -> "drop" (close in mid-answer), "silent", "wrong" (another command's answer),
        "huge" (an absurd size), "short" (a cut body), "long" (another number behind the values)
        or an error text; "stuck" for a tip that stays.
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
        self.frame = (1e-6, 2e-6, 1e-8 * height.shape[1], 1e-8 * height.shape[0])
        self.product, self.version = "Nanonis SPM Control Software", "Generic 5"
        self.faults: dict[str, str] = {}
        self.log: list[tuple[str, tuple[float, ...]]] = []
        self.xy, self.bias, self.landed = (0.0, 0.0), 0.3, False
        self.limits, self.points = (0.0, 1.0), 5
        self.slew, self.hold = 1.0, 0.0
        self.samples_lost = 0
        self.rail = 10e-9
        self.stop = False
        if listens:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.stop = True
        self.listener.close()

    def commands(self) -> list[str]:
        return [name for name, _ in self.log]

    def _accept(self) -> None:
        while not self.stop:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self._serve(client)  # one client at a time, as each port of the controller

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                while header := self._exactly(client, 40):
                    name = header[:32].rstrip(b"\0").decode()
                    body = self._exactly(client, struct.unpack(">I", header[32:36])[0])
                    self._reply(client, name, body)
            except OSError:
                return

    @staticmethod
    def _exactly(client: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = client.recv(size - len(data))
            if not part:
                return b""
            data += part
        return data

    def _reply(self, client: socket.socket, name: str, body: bytes) -> None:
        fault = self.faults.get(name, "")
        answer, error = b"", ""
        if fault and fault not in ("drop", "silent", "wrong", "huge", "short", "long", "stuck"):
            error = fault
        handler = getattr(self, "do_" + name.replace(".", "_"), None)
        if handler is None:
            error = f"Unknown command {name}"
        elif not error:
            answer = handler(body)
        if error:
            # The documented fields of a failed command are absent or empty; the text comes last.
            answer = (
                b""
                if handler is None or name != "BiasSpectr.Start"
                else struct.pack(">6i", *[0] * 6)
            )
        message = answer + struct.pack(">I", bool(error)) + text(error)
        if fault == "silent":
            return
        if fault == "long":
            message = answer + bytes(4) + message[len(answer) :]
        if fault == "short":
            message = message[: len(message) // 2]
        size = 2**31 if fault == "huge" else len(message)
        echo = "Bias.Get" if fault == "wrong" else name
        whole = echo.ljust(32, "\0").encode() + struct.pack(">II", size, 0) + message
        if fault == "drop":
            client.sendall(whole[: 40 + len(message) // 2])
            client.shutdown(socket.SHUT_RDWR)
            return
        client.sendall(whole)

    def take(self, name: str, form: str, body: bytes) -> tuple[float, ...]:
        values = struct.unpack(">" + form, body)
        self.log.append((name, values))
        return values

    # The sample.

    def pixel(self) -> tuple[int, int]:
        """Row (0 on top) and column under the tip."""
        x, y, width, height = self.frame
        turn = math.radians(self.angle)  # clockwise
        dx, dy = self.xy[0] - x, self.xy[1] - y
        along = dx * math.cos(turn) - dy * math.sin(turn)
        up = dx * math.sin(turn) + dy * math.cos(turn)
        rows, columns = self.height.shape
        return (math.floor((0.5 - up / height) * rows), math.floor((0.5 + along / width) * columns))

    # The commands.

    def do_Util_VersionGet(self, body: bytes) -> bytes:
        return text(self.product) + text(self.version) + struct.pack(">II", 14000, 14000)

    def do_Signals_InSlotsGet(self, body: bytes) -> bytes:
        indexes = [24, 0, 2, 30]
        return texts(SLOTS) + struct.pack(f">i{len(indexes)}i", len(indexes), *indexes)

    def do_FolMe_SpeedSet(self, body: bytes) -> bytes:
        self.take("FolMe.SpeedSet", "fI", body)
        return b""

    def do_Bias_Set(self, body: bytes) -> bytes:
        (self.bias,) = self.take("Bias.Set", "f", body)
        return b""

    def do_ZCtrl_Withdraw(self, body: bytes) -> bytes:
        self.take("ZCtrl.Withdraw", "Ii", body)
        self.landed = False
        return b""

    def do_ZCtrl_OnOffSet(self, body: bytes) -> bytes:
        self.landed = bool(self.take("ZCtrl.OnOffSet", "I", body)[0])
        return b""

    def do_FolMe_XYPosSet(self, body: bytes) -> bytes:
        x, y, _ = self.take("FolMe.XYPosSet", "ddI", body)
        if self.landed:
            raise OSError("dragged the tip")
        if self.faults.get("FolMe.XYPosSet") != "stuck":
            self.xy = (x, y)
        return b""

    def do_FolMe_XYPosGet(self, body: bytes) -> bytes:
        return struct.pack(">dd", *self.xy)

    def do_Scan_BufferGet(self, body: bytes) -> bytes:
        rows, columns = self.height.shape
        return struct.pack(">ii", 1, 0) + struct.pack(">ii", columns, rows)

    def do_Scan_BufferSet(self, body: bytes) -> bytes:
        count = struct.unpack(">i", body[:4])[0]
        self.take("Scan.BufferSet", f"i{count}iii", body)
        return b""

    def do_Scan_Action(self, body: bytes) -> bytes:
        self.take("Scan.Action", "HI", body)
        return b""

    def do_Scan_WaitEndOfScan(self, body: bytes) -> bytes:
        late = 1 if self.faults.get("scan") == "late" else 0
        return struct.pack(">II", late, 0)

    def do_Scan_FrameGet(self, body: bytes) -> bytes:
        return struct.pack(">5f", *self.frame, self.angle)

    def do_Scan_FrameDataGrab(self, body: bytes) -> bytes:
        slot, _ = self.take("Scan.FrameDataGrab", "II", body)
        image = {3: self.height, 1: self.peak}.get(int(slot), np.zeros_like(self.height))
        name = SLOTS[int(slot)] if slot < len(SLOTS) else ""
        # Rows come in the order in which they were scanned.
        scanned = image[::-1] if self.up else image
        return text(name) + table(scanned) + struct.pack(">I", self.up)

    def do_BiasSpectr_PropsSet(self, body: bytes) -> bytes:
        self.points = int(self.take("BiasSpectr.PropsSet", "HiHifHH", body)[3])
        return b""

    def do_BiasSpectr_LimitsSet(self, body: bytes) -> bytes:
        self.limits = self.take("BiasSpectr.LimitsSet", "ff", body)
        return b""

    def do_BiasSpectr_TimingSet(self, body: bytes) -> bytes:
        values = self.take("BiasSpectr.TimingSet", "8f", body)
        self.slew, self.hold = values[3], values[4] + values[5]
        return b""

    def step(self) -> float:
        """Seconds from sample to sample: the ramp there, settling, integration."""
        start, end = self.limits
        return abs(end - start) / (self.points - 1) / self.slew + self.hold

    def do_BiasSpectr_AdvPropsSet(self, body: bytes) -> bytes:
        self.take("BiasSpectr.AdvPropsSet", "4H", body)
        return b""

    def do_BiasSpectr_Start(self, body: bytes) -> bytes:
        self.log.append(("BiasSpectr.Start", ()))
        volts = np.linspace(*self.limits, self.points)
        peak = self.peak[self.pixel()] if self.landed else 0.0
        forward = np.clip(peak * volts / max(abs(volts).max(), 1e-9), -self.rail, self.rail)
        data = np.array([volts, forward, 0.5 * forward])
        data = data[:, : self.points - self.samples_lost]
        names = ["Bias calc (V)", "Current (A)", "Current [bwd] (A)"]
        return texts(names) + table(data) + struct.pack(">i2f", 2, 0.0, 0.0)
