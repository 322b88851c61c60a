"""A simulated microscope: a film behind an instrument with faults."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from grainscout.hardware.adapters.shared import known_channels
from grainscout.hardware.clock import SimulatedClock
from grainscout.hardware.protocol import Capabilities, Part
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, DataError, MicroscopeError
from grainscout.records.problem import CostModel
from grainscout.records.registry import closest
from grainscout.records.scan import Scan, Site, checked_site
from grainscout.records.streams import spawn_streams
from grainscout.records.waveform import Waveform
from grainscout.simulator import PRESETS, preset
from grainscout.simulator.film import Film
from grainscout.simulator.instrument import Instrument, InstrumentSpec, instrument_spec
from grainscout.simulator.instrument.buffers import PixelTable

_CHANNELS = ("height", "current")


class SimulatedMicroscope:
    """A film with known truth behind an instrument, with a simulated clock.

    The clock is charged for travel, landing, settling, sweeps and images. Decisions are charged
    through ``clock.spend``. The attribute ``instrument`` holds the truth (``events``, ``path``) for
    scoring. The protocol's own methods never show it.

    Parameters
    ----------
    film : Film
        The sample.
    spec : InstrumentSpec or str
        The instrument, or its name in ``simulator.instrument.INSTRUMENTS`` or ``FAULT_LADDERS``.
    seed : SeedSequence
        Seed of noise and faults (``records.Streams.instrument``).
    light : float
        Illumination at the start [suns].
    channels : tuple of str
        Images that it offers: ``height``, and ``current`` at the instrument's image bias.
    """

    def __init__(
        self,
        film: Film,
        spec: InstrumentSpec | str = "quiet",
        *,
        seed: np.random.SeedSequence,
        light: float = 0.0,
        channels: tuple[str, ...] = _CHANNELS,
    ) -> None:
        if not channels or not set(channels) <= set(_CHANNELS):
            raise ConfigError(
                f"channels must be some of {', '.join(_CHANNELS)}; got {list(channels)}"
            )
        self.spec = instrument_spec(spec) if isinstance(spec, str) else spec
        self._channels = channels
        self.instrument = Instrument(film, self.spec, seed, _suns(light))
        self.bias = 0.0  # [V] on the sample now
        self.engaged = False
        self._pixel_size = film.pixel_size
        self._shape = film.shape
        self.clock = SimulatedClock()
        self._visits = PixelTable(1, np.int64)
        self._logged: list[PackedState] = []
        self._at = Site(0, 0)

    @property
    def capabilities(self) -> Capabilities:
        """Its images, light, any site, any waveform."""
        return Capabilities(channels=self._channels, light=True, simulated=True)

    @property
    def cost(self) -> CostModel:
        """Cost of a measurement, with a sweep of 1 s."""
        motion = self.spec.motion
        return CostModel(
            speed=motion.speed_m_per_s, settle=motion.settle_s, overhead=motion.overhead_s
        )

    def take_cost(self, cost: CostModel) -> None:
        """Charge another microscope's travel, settling and overhead: this one is its twin."""
        given = {"speed_m_per_s": cost.speed, "settle_s": cost.settle, "overhead_s": cost.overhead}
        self.spec = replace(self.spec, motion=replace(self.spec.motion, **given))

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take an image of the whole film. DataError for an unknown channel."""
        known_channels(channels, self._channels)
        self.engaged = True
        self.instrument.displaced = np.zeros(2)
        image = self.instrument.image(channels, self.clock.now())
        self.clock.spend(self.spec.motion.line_s * self._shape[0])
        self.park()
        return image

    def look(self, part: Part) -> Scan:
        """Take a height image of a part at the speed of the whole one, hence in shorter lines."""
        rows, columns = self._shape
        if min(part) < 0 or part.row + part.rows > rows or part.column + part.columns > columns:
            raise DataError(f"a part must lie on the {rows} x {columns} scan; got {tuple(part)}")
        self.engaged = True
        motion = self.spec.motion
        self.clock.spend(motion.overhead_s)
        image = self.instrument.image(("height",), self.clock.now(), part)
        self.clock.spend(motion.line_s * part.rows * part.columns / columns)
        self.park()
        return image

    def displace(self, rows: float, columns: float) -> None:
        """Displace later sites and looks by rows and columns [pixels]."""
        self.instrument.displaced = np.array([rows, columns]) * self._pixel_size

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there, settle and sweep.

        MicroscopeError if the site is off the scan, the approach fails or the tip crashes. After a
        failure the tip stays where it is until `park`.
        """
        site = checked_site(site, self._shape, error=MicroscopeError)
        (visit,) = self._visits.get(site) or (0,)
        self._visits.put(site, visit + 1)
        step = np.array(self._pixel_size) * np.array([site[0] - self._at[0], site[1] - self._at[1]])
        motion = self.spec.motion
        self.clock.spend(motion.overhead_s + float(np.hypot(*step)) / motion.speed_m_per_s)
        self.instrument.move(step, self.clock.now())
        self._at = site
        self.engaged = True
        landing = self.instrument.land(site, visit, self.clock.now())
        self.clock.spend(landing.seconds)
        if landing.failure:
            raise MicroscopeError(landing.failure)
        self.clock.spend(motion.settle_s)
        self.bias = float(waveform.voltage[-1])
        curve = self.instrument.sweep(site, visit, waveform, self.clock.now())
        self.clock.spend(waveform.duration)
        self.park()
        return curve

    def light(self, suns: float) -> None:
        """Set the illumination [suns]. ConfigError if negative or not finite."""
        self.instrument.lamp.switch(_suns(suns), self.clock.now())

    def image_bias(self, volts: float) -> None:
        """Set the bias of later current images [V]. The instrument's own otherwise."""
        self.spec = self.instrument.spec = replace(self.spec, image_bias_V=volts)

    def limit_current(self, amperes: float) -> None:
        """Set the compliance [A]: the current saturates there, flagged, if below the rail."""
        if not (math.isfinite(amperes) and amperes > 0):
            raise ConfigError(f"current compliance must be finite and > 0 A; got {amperes}")
        self.instrument.compliance = float(amperes)

    def park(self) -> None:
        """Set 0 V and withdraw the tip."""
        self.bias = 0.0
        self.engaged = False

    def wear(self) -> float:
        """Return the used fraction of the tip's life. Passes 1 if used on."""
        return self.instrument.tip.wear

    def faults(self) -> list[PackedState]:
        """Return every fault with its time, kind and detail, as plain values."""
        self._logged += [e.packed() for e in self.instrument.events[len(self._logged) :]]
        return list(self._logged)

    def state(self) -> PackedState:
        """Return clock, tip, light, visits and the film's memory."""
        return {
            "clock": self.clock.now(),
            "at": list(self._at),
            "bias": self.bias,
            "engaged": self.engaged,
            "visits": self._visits.table,
            "instrument": self.instrument.state(),
        }

    def restore(self, state: PackedState) -> None:
        """Continue bit for bit from `state`, on the same film, specification and seed."""
        self.clock = SimulatedClock(state["clock"])
        self._at = Site(*state["at"])
        self.bias, self.engaged = state["bias"], state["engaged"]
        self._visits = PixelTable(1, np.int64, state["visits"])
        self._logged = []
        self.instrument.restore(state["instrument"])


def open_simulated(
    *,
    film: str = "reference",
    instrument: str = "reference",
    seed: int = 0,
    light: float = 0.0,
    channels: Sequence[str] = _CHANNELS,
    temperature_K: float = 298.0,
) -> SimulatedMicroscope:
    """Open a simulated microscope on a preset film, or on one that ``Film.save`` wrote.

    `instrument` is of ``INSTRUMENTS`` or ``FAULT_LADDERS``, `seed` that of ``records.spawn_streams``.
    """
    file = Path(film)
    saved = file.is_file()
    made = _stored_film(file, file.stat().st_mtime_ns) if saved else _made_film(film, seed)
    return on_film(
        made, instrument, seed, light=light, channels=channels, temperature_K=temperature_K
    )


def on_film(
    film: Film,
    instrument: str,
    seed: int,
    *,
    light: float = 0.0,
    channels: Sequence[str] = _CHANNELS,
    temperature_K: float = 298.0,
) -> SimulatedMicroscope:
    """Put a film under the named instrument. Settings as of `open_simulated`."""
    spec = replace(instrument_spec(instrument), temperature_K=temperature_K)
    noise = spawn_streams(seed).instrument
    return SimulatedMicroscope(film, spec, seed=noise, light=light, channels=tuple(channels))


# Policies of one campaign meet on the same film: a worker makes it once.
@lru_cache(maxsize=4)
def _made_film(name: str, seed: int) -> Film:
    try:
        spec = preset(name)
    except ConfigError:
        raise ConfigError(
            f"film must be a preset ({', '.join(PRESETS)}) or the path of a saved film; got {name!r}{closest(name, [*PRESETS, 's23', 's26'])}"
        ) from None
    return Film.generate(spec, spawn_streams(seed).film)


@lru_cache(maxsize=4)
def _stored_film(file: Path, changed: int) -> Film:
    return Film.load(file)


def _suns(light: float) -> float:
    if not (math.isfinite(light) and light >= 0):
        raise ConfigError(f"light must be finite and >= 0 suns; got {light}")
    return float(light)
