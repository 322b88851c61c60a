"""The Nanonis TCP interface through ``nanonis-spm``, with time-outs and errors.

The package returns errors as strings, prints them, sets a time-out of 1000 s and never returns if the
controller dies in mid-answer. It takes any object with send and recv as its connection, so ours reads
exactly what was asked for, in time, or raises.
"""

import math
import socket
import struct
import time
from typing import Any

from grainscout.hardware.adapters.lock import InstrumentLock
from grainscout.records import ConfigError, MicroscopeError

_MAX_ERROR = 10_000  # bytes of an error's text
_MAX_BODY = 256_000_000  # bytes; a frame of 8192 x 8192 float32 pixels


_SLICE = 0.25  # s; Windows hands an interrupt over only between two waits
_PORTS = range(6501, 6505)  # of one controller


class Refused(MicroscopeError):
    """The controller answered with an error."""


class _Misread(MicroscopeError):
    """An answer of another form than documented."""


class TimedSocket:
    """A socket that reads exactly and gives up at the command's deadline."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._where = f"{host}:{port}"
        self.deadline = time.monotonic() + timeout
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise MicroscopeError(
                f"Nanonis must listen at {self._where} (TCP Programming Interface); got {error}"
            ) from error

    def send(self, data: bytes) -> int:
        """Send all bytes."""
        self._limit()
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise MicroscopeError(
                f"Nanonis at {self._where} was lost while sending: {error}"
            ) from error
        return len(data)

    def recv(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        if size > _MAX_BODY:
            raise MicroscopeError(
                f"an answer must be of at most {_MAX_BODY} bytes; Nanonis at {self._where} announced {size}"
            )
        data = bytearray()
        while len(data) < size:
            self._limit(_SLICE)
            try:
                part = self._socket.recv(min(size - len(data), 1 << 20))
            except TimeoutError:
                continue
            except OSError as error:
                raise MicroscopeError(f"Nanonis at {self._where} was lost: {error}") from error
            if not part:
                raise MicroscopeError(
                    f"Nanonis at {self._where} must send {size} bytes; it closed the connection after "
                    f"{len(data)}"
                )
            data += part
        return bytes(data)

    def settimeout(self, _: float) -> None:
        """Ignore the package's own time-out of 1000 s."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _limit(self, most: float = math.inf) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise MicroscopeError(f"Nanonis at {self._where} must answer in time; it did not")
        self._socket.settimeout(min(left, most))


class NanonisConnection:
    """Commands to a controller. After a failure the next one opens a fresh connection.

    With `own` the controller is locked while it is open: one run at a time. While `halted` no command
    is sent, because the tip was parked meanwhile.
    """

    def __init__(self, host: str, port: int, *, timeout: float, own: bool = False) -> None:
        try:
            from nanonis_spm import Nanonis  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise ConfigError(
                "the Nanonis adapter needs the package nanonis-spm: pip install -e '.[nanonis]' in the checkout"
            ) from error

        class Raising(Nanonis):  # type: ignore[misc]
            """Raises what the controller says instead of printing and returning it."""

            def parseGeneralResponse(self, response: Any, types: Any) -> Any:
                if bytes(response[-8:]) != bytes(8):
                    raise Refused(f"Nanonis says: {_error_text(bytes(response))}")
                return super().parseGeneralResponse(response, types)

            def parseError(self, response: Any, index: int) -> str:
                """No error was announced. What stands there instead shows that the values were misread."""
                if index not in (0, len(response) - 8):
                    raise _Misread(
                        f"an answer of Nanonis must be of {index + 8} bytes, as is documented; got "
                        f"{len(response)}"
                    )
                return ""

        self._package = Raising
        self._host, self._port, self._timeout = host, port, timeout
        self._connection: TimedSocket | None = None
        self._nanonis: Any = None
        shared = _PORTS[0] if port in _PORTS else port
        self._lock = InstrumentLock(f"the Nanonis controller at {host}:{shared}") if own else None
        self.halted = False

    def call(self, command: str, *arguments: Any, timeout: float | None = None) -> list[Any]:
        """Call a method such as ``"Scan_FrameGet"`` and return its variables, else MicroscopeError."""
        return self._run(command, lambda nanonis: getattr(nanonis, command)(*arguments), timeout)

    def query(self, command: str, types: list[str]) -> list[Any]:
        """Return the answer to a documented command that the package lacks or cannot parse."""
        return self._run(command, lambda nanonis: nanonis.quickSend(command, [], [], types), None)

    def optional(self, command: str, *arguments: Any) -> list[Any] | None:
        """Call a method. None if the controller lacks the module or answers in another form."""
        try:
            return self.call(command, *arguments)
        except (Refused, _Misread):
            return None

    def first_number(self, command: str) -> int:
        """Return the first 32 bits of an answer whose rest the package cannot parse."""
        return int(self._run(command, lambda nanonis: _first_number(nanonis, command), None)[0])

    def version(self) -> tuple[str, str, int]:
        """Return product line, version and host release (the package cannot parse them)."""
        answer = self.query("Util.VersionGet", ["i", "*-c", "i", "*-c", "I", "I"])
        return str(answer[1]), str(answer[3]), int(answer[4])

    def slots(self) -> dict[str, int]:
        """Return the signals in the slots of the Signals Manager, in order, with their numbers."""
        answer = self.query("Signals.InSlotsGet", ["i", "i", "*+c", "i", "*i"])
        return {str(name): int(n[0]) for name, n in zip(answer[2], answer[4], strict=True)}

    def _run(self, command: str, act: Any, timeout: float | None) -> list[Any]:
        span = self._timeout if timeout is None else timeout
        if self.halted:
            raise MicroscopeError(f"{command} was not sent: the tip was parked meanwhile")
        if self._connection is None:
            if self._lock is not None:
                self._lock.take()
            self._connection = TimedSocket(self._host, self._port, self._timeout)
            self._nanonis = self._package(self._connection)
        self._connection.deadline = time.monotonic() + span
        done = False
        try:
            answer = act(self._nanonis)
            done = True
        except (struct.error, ValueError, IndexError, TypeError) as error:
            raise _Misread(f"{command}: the answer of Nanonis is malformed: {error}") from error
        except Refused:
            done = True  # a whole answer
            raise
        finally:
            if not done:
                # What is still on its way would be taken for the answer to the next command.
                self._drop()
        if len(answer) != 3:
            self._drop()
            raise MicroscopeError(f"{command}: Nanonis answered another command")
        return list(answer[2])

    def close(self) -> None:
        """Close the connection and unlock the controller. The next command opens another."""
        self._drop()
        if self._lock is not None:
            self._lock.give()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _first_number(nanonis: Any, command: str) -> list[Any]:
    response = bytes(nanonis.send(command, [], []))
    if response[-8:] != bytes(8):
        raise Refused(f"Nanonis says: {_error_text(response)}")
    return ["", response, list(struct.unpack(">I", response[:4]))]


def _error_text(response: bytes) -> str:
    """Error at the end of an answer: status 1, size, text. What is before depends on the controller."""
    for size in range(min(len(response) - 8, _MAX_ERROR), -1, -1):
        status, length = struct.unpack(">Ii", response[-size - 8 :][:8])
        if length == size and status:
            return (
                response[len(response) - size :].decode("utf-8", errors="replace")
                or f"error {status}"
            )
    return "an answer without an error field at its end"
