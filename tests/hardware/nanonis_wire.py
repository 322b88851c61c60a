"""The wire of a fake Nanonis controller: frames over TCP on three ports, with faults on demand.

Request: command (32 bytes), body size (u32), send-response flag (u16), two zero bytes, body.  Response:
command, body size, four zero bytes, body with, last, the error status (u32), its text's size (i32) and
the text.  All numbers are big endian.
"""

import socket
import struct
import threading

import numpy as np


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">i", len(raw)) + raw


def texts(values: list[str]) -> bytes:
    packed = b"".join(text(v) for v in values)
    return struct.pack(">ii", len(packed), len(values)) + packed


def table(values: np.ndarray) -> bytes:
    return struct.pack(">ii", *values.shape) + values.astype(">f4").tobytes()


class Wire:
    """Listens on three ports and answers by the methods ``do_Module_Verb``, or from `state`.

    faults : command -> "drop" (close in mid-answer), "silent", "wrong" (another command's answer),
        "huge" (an absurd size), "short" (a cut body), "long" (another number behind the values)
        or an error text.
    """

    def __init__(self):
        self.faults: dict[str, str] = {}
        self.log: list[tuple[str, tuple[float, ...]]] = []
        self.state: dict[str, bytes] = {}  #: Of modules that are only set and read
        self.stop = False

    def listen(self) -> None:
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.port, self.second, self.third = (s.getsockname()[1] for s in self.listeners)
        for listener in self.listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def commands(self) -> list[str]:
        return [name for name, _ in self.log]

    def _accept(self, listener: socket.socket) -> None:
        while not self.stop:
            try:
                client, _ = listener.accept()
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
        module, verb = name[:-3], name[-3:]
        handler = getattr(self, "do_" + name.replace(".", "_"), None)
        if handler is None and module in self.state:
            handler = {"Get": lambda _: self.state[module], "Set": lambda b: self.store(module, b)}[
                verb
            ]
        if handler is None:
            error = f"Unknown command {name}"
        elif not error:
            try:
                answer = handler(body)
            except ValueError as refusal:
                error = str(refusal)
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
