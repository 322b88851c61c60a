"""Opening the simulated microscope from plain options, as a configuration file gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grainscout.hardware.simulated import SimulatedMicroscope
from grainscout.records import ConfigError, spawn_streams
from grainscout.simulator import PRESETS, Film


def open_simulated(
    *,
    film: str = "reference",
    instrument: str = "reference",
    seed: int = 0,
    light: float = 0.0,
    channels: Sequence[str] = ("height",),
) -> SimulatedMicroscope:
    """A simulated microscope.

    film : name of a preset, or path of a film saved with ``Film.save``;  instrument : name in
    ``simulator.instrument.INSTRUMENTS`` or ``FAULT_LADDERS``;  seed : of film and instrument, as
    ``records.spawn_streams`` splits it;  light [suns];  channels : images that it offers, of
    "height" and "current".
    """
    streams = spawn_streams(seed)
    if film in PRESETS:
        made = Film.generate(PRESETS[film], streams.film)
    elif Path(film).is_file():
        made = Film.load(film)
    else:
        raise ConfigError(
            f"film must be a preset ({', '.join(PRESETS)}) or the path of a saved film; got {film!r}"
        )
    return SimulatedMicroscope(
        made, instrument, seed=streams.instrument, light=light, channels=tuple(channels)
    )
