"""The lamp, and the sample's slow response."""

import math
from dataclasses import dataclass

from grainscout.records.validation import positive


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
