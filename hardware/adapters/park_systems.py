"""Park Systems microscopes (NX, XE, FX) as movers, through ``smartremote`` and SmartScan's scripts.

Written from the package and from scripts in public use, and tested against a fake SmartScan that speaks
its JSON over ZeroMQ. No instrument was used.
"""

import time
from typing import Any

from grainscout.hardware.adapters.movers import MoverOptions, SavingMover
from grainscout.hardware.adapters.shared import merged_signature
from grainscout.records import ConfigError, MicroscopeError

_UM = 1e-6
_EDGE = 0.01  # of the Z scanner's range


class SmartScan:
    """SmartScan behind ``SmartRemote``, with a time-out for each answer.

    The Z scanner and its servo tell contact: up is at its retracted end with the servo off, touching is
    with the servo on and off both ends.
    """

    name, still = "Park SmartScan", 0.001  # um
    rescue = (
        "in SmartScan press Stop, set tip and sample bias to 0, press Lift and watch the Z stage"
    )

    def __init__(self, address: str, timeout_s: float) -> None:
        try:
            import zmq
            from SmartRemote import SmartRemote  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise ConfigError(
                "Park needs the packages smartremote and pyzmq: pip install -e '.[park]' in the checkout"
            ) from error
        self.errors: tuple[type[Exception], ...] = (zmq.ZMQError, KeyError, TypeError, ValueError)
        self._patience, self._options = (
            timeout_s,
            ((zmq.LINGER, 0), (zmq.RCVTIMEO, 1000 * timeout_s)),
        )
        self._remote: Any = type("Remote", (SmartRemote,), {"address": address})()
        self._limit()
        if self._ask("spm.zscanner.pos") is None:
            self.close()
            raise MicroscopeError(
                f"SmartScan must listen at {address}, with SmartRemote on; it does not"
            )

    def close(self) -> None:
        """Close the connection."""
        self._remote.context.destroy(0)

    def _limit(self) -> None:
        for option, value in self._options:
            self._remote.socket.setsockopt(option, int(value))

    def _ask(self, script: str) -> Any:
        """Run a script to its end and return its value; None if nobody answers."""
        try:
            answer = self._remote.send_script(script)["value"]
            deadline = time.monotonic() + self._patience
            while self._remote.check_status() != "false":
                if time.monotonic() > deadline:
                    raise MicroscopeError(
                        f"SmartScan must end {script!r} within {self._patience:g} s"
                    )
                time.sleep(0.02)
        except self.errors[0]:  # a socket that waits for an answer takes no further question
            self.close()
            self._remote.connect_socket()
            self._limit()
            return None
        return answer

    def _run(self, script: str) -> Any:
        answer = self._ask(script)
        if answer is None:
            raise MicroscopeError(f"SmartScan must answer {script!r} within {self._patience:g} s")
        return answer

    def _numbers(self, *names: str) -> list[float]:
        return [float(v) for v in str(self._run(" + ',' + ".join(names))).split(",")]

    def frame(self) -> tuple[float, float, float, float, float]:
        """Centre, size and rotation of the scan geometry."""
        found = self._remote.query_geometry()
        x, y, w, h = (found[k] * _UM for k in ("offsetX", "offsetY", "width", "height"))
        return x, y, w, h, found["rotation"]

    def image(self) -> None:
        """Trigger an image."""
        self._run("spm.scan.triggerImageScan()")

    def stop(self) -> None:
        """Stop the scan and set 0 V at tip and sample."""
        self._run("spm.scan.stop(); spm.bias.tip = 0; spm.bias.sample = 0; 'done'")

    def withdraw(self) -> None:
        """Switch the Z servo off and retract the Z scanner."""
        self._run("spm.zservo.enable = false; spm.zscanner.retractAll(); 'done'")

    def land(self) -> None:
        """Switch the Z servo on."""
        self._run("spm.zservo.enable = true; 'done'")

    def rest(self) -> tuple[float, bool, bool]:
        """Position of the Z scanner [um]."""
        names = ("pos", "fullyRetractedPos", "fullyExtendedPos")
        z, high, low = self._numbers(*(f"spm.zscanner.{name}" for name in names))
        servo, edge = str(self._run("spm.zservo.enable")).lower() == "true", _EDGE * (high - low)
        return z, not servo and z >= high - edge, servo and low + edge < z < high - edge

    def move(self, x: float, y: float) -> None:
        """Move the XY scanner."""
        self._run(f"spm.xyscanner.moveTo({x / _UM:.6f}, {y / _UM:.6f}); 'done'")

    def where(self) -> tuple[float, float]:
        """Position of the XY scanner [m]."""
        x, y = self._numbers("spm.xyscanner.pos.x", "spm.xyscanner.pos.y")
        return x * _UM, y * _UM


def open_park(*, address: str = "tcp://localhost:5581", **options: Any) -> SavingMover:
    """Connect to the SmartScan at `address`. Other options as in `MoverOptions`."""
    how = MoverOptions(**options)
    return SavingMover(lambda: SmartScan(address, how.timeout_s / 3), how, ".tiff")


vars(open_park)["__signature__"] = merged_signature(
    MoverOptions, {"address": "tcp://localhost:5581"}
)
