"""A recording as the instrument: real curves at their real cost."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from grainscout.analysis.formats import Recording, read
from grainscout.hardware.adapters.shared import known_channels, positive
from grainscout.hardware.clock import SimulatedClock
from grainscout.hardware.protocol import Capabilities
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, DataError, MicroscopeError
from grainscout.records.problem import CostModel
from grainscout.records.scan import Scan, Site
from grainscout.records.waveform import Waveform


class ReplayMicroscope:
    """A recorded grid as a microscope.

    A curve comes back exactly as recorded, with saturation flags and lost samples (NaN), and the same
    at every visit. The truth of a replay is the recording itself.

    Parameters
    ----------
    recording : Recording
        Its sites and its waveform are the only ones that can be measured.
    cost : CostModel, optional
        Cost of a measurement on the simulated clock. The sweep charged is the recorded one.
    light : float
        Illumination during the recording [suns]. It cannot be changed.
    scan_seconds : float
        Cost of an image [s]. 0 because it exists already.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        cost: CostModel | None = None,
        light: float = 0.0,
        scan_seconds: float = 0.0,
    ) -> None:
        _least_zero("light of the recording", light, "suns")
        _least_zero("scan_seconds", scan_seconds, "s")
        self.recording = recording
        self.cost = replace(cost or CostModel(), sweep=recording.waveform.duration)
        self._light, self._scan_seconds = light, scan_seconds
        self.clock = SimulatedClock()
        self._at = Site(0, 0)
        self.bias = 0.0  # [V] on the sample now
        self.engaged = False

    @property
    def capabilities(self) -> Capabilities:
        """The recorded channels, sites and waveform. No new result at a revisit."""
        return Capabilities(
            channels=tuple(self.recording.scan.channels),
            sites=self.recording.sites,
            waveform=self.recording.waveform,
            revisits=False,
            unit=self.recording.unit,
            simulated=True,
        )

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Return the recorded images. DataError for an unknown channel."""
        recorded = self.recording.scan
        known_channels(channels, tuple(recorded.channels))
        self.clock.spend(self._scan_seconds)
        return replace(
            recorded,
            channels={c: recorded.channels[c] for c in channels},
            units={c: recorded.units[c] for c in channels if c in recorded.units},
        )

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Return the curve recorded there. MicroscopeError for another site or waveform."""
        if waveform != self.recording.waveform:
            own, other = (
                f"{w.kind}, {len(w)} samples, {w.voltage.min():g} to {w.voltage.max():g} V in "
                f"{w.duration:g} s"
                for w in (self.recording.waveform, waveform)
            )
            raise MicroscopeError(
                f"a recording can only be measured with its own waveform ({own}); got {other}. Use "
                "capabilities.waveform"
            )
        try:
            curve = self.recording.curve(site)
        except (DataError, TypeError, ValueError) as error:
            raise MicroscopeError(
                f"a recording can only be measured at its {len(self.recording)} recorded sites; got "
                f"{tuple(site)}. Choose from capabilities.sites"
            ) from error
        site = Site(int(site[0]), int(site[1]))
        ends = self.recording.scan.positions(np.array([self._at, site]))
        distance = float(np.hypot(*(ends[1] - ends[0])))
        self.clock.spend(float(self.cost.seconds(distance)))
        self._at = site
        self.park()
        return curve

    def light(self, suns: float) -> None:
        """Do nothing for the recorded light. MicroscopeError for another."""
        if suns != self._light:
            raise MicroscopeError(
                f"light of a recording must stay at the recorded {self._light:g} suns; got {suns:g}"
            )

    def park(self) -> None:
        """Set 0 V and withdraw the tip."""
        self.bias, self.engaged = 0.0, False

    def state(self) -> PackedState:
        """Return clock and tip position."""
        return {"clock": self.clock.now(), "at": list(self._at)}

    def restore(self, state: PackedState) -> None:
        """Continue from `state`, on the same recording."""
        self.clock = SimulatedClock(state["clock"])
        self._at = Site(*state["at"])


def open_replay(
    path: str,
    *,
    speed_m_per_s: float = 1e-6,
    settle_s: float = 0.05,
    overhead_s: float = 0.1,
    light: float = 0.0,
    rail_A: float | None = None,
    channel: str | None = None,
    current: str | None = None,
    cycle: int | None = None,
    pixel_nm: float | None = None,
    crop_px: tuple[int, int, int, int] | None = None,
) -> ReplayMicroscope:
    """Replay the recording in a file, at costs of travel, settling and overhead.

    Further options are those of `analysis.formats.ReadOptions`. DataError if the file holds images only.
    """
    file = Path(path)
    recording = _recording(
        file,
        file.stat().st_mtime_ns if file.is_file() else 0,
        rail=rail_A,
        channel=channel,
        current=current,
        cycle=cycle,
        pixel_nm=pixel_nm,
        crop_px=None if crop_px is None else tuple(crop_px),
    )
    positive(speed_m_per_s=speed_m_per_s)
    for name, value in (("settle_s", settle_s), ("overhead_s", overhead_s)):
        _least_zero(f"replay {name}", value, "s")
    cost = CostModel(speed=speed_m_per_s, settle=settle_s, overhead=overhead_s)
    return ReplayMicroscope(recording, cost=cost, light=light)


def _least_zero(what: str, value: float, unit: str) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"{what} must be finite and >= 0 {unit}; got {value}")


# Policies of one campaign meet on the same recording: a worker reads it once.
@lru_cache(maxsize=4)
def _recording(file: Path, changed: int, **options: Any) -> Recording:
    recording = read(file, **options)
    if not isinstance(recording, Recording):
        raise DataError(
            f"{file} must hold a grid of curves to be replayed; it holds an image. "
            'Use it as kind = "topography"'
        )
    return recording
