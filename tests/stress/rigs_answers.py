"""A night with a Nanonis controller without a network, one of whose answers is another one."""

import struct

import fake_nanonis
from rig import HEIGHT, PEAK

from grainscout.hardware import Guard, Limits
from grainscout.hardware.adapters.nanonis import connection
from grainscout.hardware.adapters.nanonis.microscope import NanonisMicroscope
from grainscout.records import MicroscopeError, Site, Waveform

WAVE = Waveform.triangle(1.0, 9, 0.01)
_LIMITS = Limits(voltage_V=1.0, slew_V_per_s=1000.0)


class Wire:
    """The controller's fake at once in the place of the socket; `change` makes the n-th answer's body another."""

    def __init__(self, n, change):
        self.fake = fake_nanonis.FakeNanonis(HEIGHT, PEAK, angle=20.0, listens=False)
        self.n, self.change, self.answers, self._waiting = n, change, 0, b""
        self.deadline = 0.0  # of the socket; no time passes here

    def send(self, data):
        """A command, which the controller answers."""
        self.fake._reply(self, data[:32].rstrip(b"\0").decode(), data[40:])
        return len(data)

    def sendall(self, answer):
        """What the controller answers."""
        body = self.change(answer[40:]) if self.answers == self.n else answer[40:]
        self.answers += 1
        self._waiting += answer[:32] + struct.pack(">II", len(body), 0) + body

    def recv(self, size):
        """So many bytes of the answers."""
        if size > len(self._waiting):
            raise MicroscopeError("lost")
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return data

    def settimeout(self, _):
        """No time passes."""

    def close(self):
        """What was not read is gone."""
        self._waiting = b""


def night(wire, patch):
    """Two images, a curve, parked; whatever is raised passes."""
    patch.setattr(connection, "TimedSocket", lambda *_: wire)
    ports = {"emergency_port": 0, "watchdog_port": 0}
    microscope = Guard(NanonisMicroscope(**fake_nanonis.QUICK, **ports, rail_A=1.0), _LIMITS)
    microscope.scan(("height", "current"))
    microscope.measure(Site(1, 2), WAVE)
    microscope.park()
