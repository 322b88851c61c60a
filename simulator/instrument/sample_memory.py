"""The lamp, and traces of earlier measurements in the film."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from grainscout.records import BoolArray, FloatArray, IntArray, PackedState, Site
from grainscout.records.validation import positive
from grainscout.simulator.instrument.buffers import PixelTable

if TYPE_CHECKING:  # names of presets are listed without what films need
    from grainscout.simulator.film.film import Film


@dataclass(frozen=True, kw_only=True)
class LightSpec:
    """Relaxation of the light after switching.

    It stands for the slow, ionic part of the photo-response (*assumed*: one exponential).
    """

    relaxation_s: float = 10.0  #: Relaxation time [s]

    def __post_init__(self) -> None:
        positive(self, relaxation_s="s")


class Lamp:
    """Light against time. `history` holds time [s], light set and effective light [suns]."""

    def __init__(self, spec: LightSpec | None, suns: float = 0.0) -> None:
        self._relaxation = 0.0 if spec is None else spec.relaxation_s
        self.history: list[tuple[float, float, float]] = [(0.0, suns, suns)]

    def switch(self, suns: float, seconds: float) -> None:
        """Set the lamp at a time on the clock."""
        self.history.append((seconds, suns, self.at(seconds)))

    def at(self, seconds: float) -> float:
        """Effective light [suns] after the last switch."""
        since, suns, before = self.history[-1]
        return suns + (before - suns) * self._decay(seconds - since)

    def mean(self, start: float, end: float) -> float:
        """Mean light [suns] over [start, end]: ions at rest know only this, as their rates are linear in it."""
        if end <= start:
            return self.at(end)
        total = 0.0
        for i, (since, suns, before) in enumerate(self.history):
            until = self.history[i + 1][0] if i + 1 < len(self.history) else end
            low, high = max(start, since), min(end, until)
            if high <= low:
                continue
            part = self._decay(low - since) - self._decay(high - since)
            total += suns * (high - low) + (before - suns) * self._relaxation * part
        return total / (end - start)

    def _decay(self, seconds: float) -> float:
        return math.exp(-seconds / self._relaxation) if self._relaxation else 0.0


class FilmMemory:
    """Traces of use by pixel: ionic states with the time when the bias was taken off, doses, scars."""

    def __init__(self, film: "Film", lamp: Lamp, temperature: float) -> None:
        self._film = film
        self._lamp = lamp
        self._temperature = temperature
        self._ions = PixelTable(3)  # u, x, and the time
        self._dose = PixelTable(1)
        self.scars: list[tuple[int, int, float]] = []  # row, column, radius of the tip [m]

    def ions(self, pixel: Site, seconds: float) -> FloatArray | None:
        """State (1, 2) of a pixel, or None."""
        left = self._ions.get(pixel)
        if left is None:
            return None
        u, x, then = left
        return self._film.relax(
            np.array([pixel]),
            np.array([[u, x]]),
            seconds - then,
            light=self._lamp.mean(then, seconds),
            temperature=self._temperature,
        )

    def keep(self, pixel: Site, state: FloatArray, seconds: float) -> None:
        """Remember the state (1, 2) after a sweep."""
        self._ions.put(pixel, float(state[0, 0]), float(state[0, 1]), seconds)

    def dose(self, pixel: Site) -> float:
        """Damaging dose of a pixel so far."""
        return float((self._dose.get(pixel) or [0.0])[0])

    def expose(self, pixel: Site, dose: float) -> None:
        """Remember the dose of a pixel."""
        self._dose.put(pixel, dose)

    def scarred(self, rows: IntArray, columns: IntArray, reach: float) -> BoolArray:
        """Pixels (n,) within `reach` [m] of a crash."""
        inside = np.zeros(rows.shape, bool)
        dy, dx = self._film.pixel_size
        for row, column, _ in self.scars:
            inside |= np.hypot((rows - row) * dy, (columns - column) * dx) <= reach
        return inside

    def pits(self, depth: float) -> FloatArray:
        """Depth of pits [m]: depth - r^2/2R around each."""
        dy, dx = self._film.pixel_size
        rows, columns = np.indices(self._film.shape, sparse=True)
        total = np.zeros(self._film.shape)
        for row, column, radius in self.scars:
            square = ((rows - row) * dy) ** 2 + ((columns - column) * dx) ** 2
            total = np.maximum(total, depth - square / (2.0 * radius))
        return total

    def state(self) -> PackedState:
        """All of it, for ``records.pack``."""
        return {
            "ions": self._ions.table,
            "dose": self._dose.table,
            "scars": np.array(self.scars, dtype=np.float64).reshape(-1, 3),
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state`."""
        self._ions = PixelTable(3, table=state["ions"])
        self._dose = PixelTable(1, table=state["dose"])
        self.scars = [(int(r), int(c), m) for r, c, m in state["scars"].tolist()]
