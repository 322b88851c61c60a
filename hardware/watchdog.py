"""A process that parks the instrument if the run dies or hangs, over connections of its own."""

import contextlib
import importlib
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from grainscout.hardware.protocol import Rescue
from grainscout.records import MicroscopeError

_BEAT, _PATIENCE = 1.0, 60.0  # s between signs of life; s without one until the run is given up
_START = 60.0  # s
_READY, _ALIVE, _BYE = "ready", b".", b"q"


class Watchdog:
    """The watching process, as the run sees it. MicroscopeError if it cannot reach the instrument."""

    def __init__(self, rescues: Sequence[Rescue]) -> None:
        jobs = json.dumps([[r.target, dict(r.options)] for r in rescues])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "grainscout.hardware.watchdog", jobs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C and the end of a terminal are not for it
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        said: queue.Queue[str] = queue.Queue()
        threading.Thread(
            target=lambda: said.put(self._process.stdout.readline().decode().strip()),  # type: ignore[union-attr]
            daemon=True,
        ).start()
        try:
            answer = said.get(timeout=_START)
        except queue.Empty:
            answer = f"it said nothing for {_START:g} s"
        if answer != _READY:
            self.stop()
            raise MicroscopeError(
                f"the watchdog must reach the instrument over a connection of its own: {answer}. Mend it, "
                "or set watchdog_port = 0 to go without"
            )
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def check(self) -> None:
        """MicroscopeError if it has ended: it may have parked the tip."""
        if self._process.poll() is not None:
            raise MicroscopeError(
                "the watchdog must run beside the experiment; it has ended, and may have parked the tip "
                "because this process was silent. Start anew"
            )

    def stop(self) -> None:
        """End it, without parking."""
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.write(_BYE)
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _beat(self) -> None:
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):  # it or its pipe is gone
            while pipe is not None and self._process.poll() is None:
                pipe.write(_ALIVE)
                self._over.wait(_BEAT)


def main() -> int:
    """Connect, wait, and park unless the run says goodbye. The exit status is 3 if it parked."""
    for name in ("SIGINT", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    parks: list[Callable[[], None]] = []
    try:
        for target, options in json.loads(sys.argv[1]):
            module, function = target.split(":")
            parks.append(getattr(importlib.import_module(module), function)(**options))
    except Exception as error:  # noqa: BLE001  said to the run, whatever it is
        print(" ".join(str(error).split()), flush=True)
        return 1
    print(_READY, flush=True)
    signs: queue.Queue[bytes] = queue.Queue()

    def listen() -> None:
        while sign := sys.stdin.buffer.read(1):
            signs.put(sign)
        signs.put(b"")  # the run is gone

    threading.Thread(target=listen, daemon=True).start()
    sign = _ALIVE
    while sign == _ALIVE:
        try:
            sign = signs.get(timeout=_PATIENCE)
        except queue.Empty:
            sign = b""
    return 0 if sign == _BYE else _park(parks)


def _park(parks: Sequence[Callable[[], None]]) -> int:
    failed = []
    for park in parks:
        for left in (2, 1, 0):
            try:
                park()
                break
            except Exception as error:  # noqa: BLE001  the others are parked all the same
                if not left:
                    failed.append(str(error))
    said = f"PARKING FAILED ({'; '.join(failed)}): withdraw the tip by hand" if failed else "parked"
    with contextlib.suppress(OSError):
        print(
            f"grainscout watchdog: the run died or was silent; {said}", file=sys.stderr, flush=True
        )
    return 4 if failed else 3


if __name__ == "__main__":
    sys.exit(main())
