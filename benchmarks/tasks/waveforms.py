"""Waveforms as configuration files give them: one class for each kind."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from grainscout.benchmarks.tasks.kinds import Kinds
from grainscout.records import ConfigError, Waveform

_MOST_SAMPLES = 1_000_000


class WaveformSpec(Kinds):
    """Waveform that is applied at each site. A setting left out has the default of ``Waveform``.

    ``WaveformSpec(kind=..., **settings)`` makes a `Triangle`, `Bipolar`, `Forc`, `Pulses`,
    `Switching`, `Constant` or `Recorded`.
    """

    family = "waveform"
    default_kind = "triangle"

    def build(self) -> Waveform | None:
        """Make the waveform, or None for the recorded one. ConfigError if a value does not fit."""
        given = {k: v for k, v in vars(self).items() if k != "kind" and v is not None}
        if given.get("samples", 0) > _MOST_SAMPLES:
            raise ConfigError(
                f"waveform samples must be at most {_MOST_SAMPLES}; got {given['samples']}"
            )
        maker = getattr(Waveform, self.kind)
        # `Waveform` has the same settings without their units.
        made: Waveform = maker(
            **{re.sub("(_V)?(_per)?(_s)?$", "", name): value for name, value in given.items()}
        )
        return made


@dataclass(frozen=True, kw_only=True)
class Triangle(WaveformSpec):
    """From zero to the peak and back, ``Waveform.triangle``."""

    kind: Literal["triangle"] = "triangle"
    peak_V: float | None = None
    samples: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Bipolar(WaveformSpec):
    """To the peak, to its negative and back, ``Waveform.bipolar``."""

    kind: Literal["bipolar"] = "bipolar"
    peak_V: float | None = None
    samples: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Forc(WaveformSpec):
    """First-order reversal curves, ``Waveform.forc``."""

    kind: Literal["forc"] = "forc"
    peak_V: float | None = None
    branches: int | None = None
    rate_V_per_s: float | None = None

    def stored(self) -> dict[str, Any]:
        """The settings with the name that the rate had in journals and stores of before."""
        table = super().stored()
        table["rate_V_s"] = table.pop("rate_V_per_s")
        return table


@dataclass(frozen=True, kw_only=True)
class Pulses(WaveformSpec):
    """Pulses with rests between them, ``Waveform.pulses``."""

    kind: Literal["pulses"] = "pulses"
    levels_V: tuple[float, ...]
    width_s: float | None = None
    rest_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Switching(WaveformSpec):
    """Pulses from the negative peak to the positive and back, each read at rest afterwards."""

    kind: Literal["switching"] = "switching"
    peak_V: float = 1.5
    steps: int = 12  #: Pulses from 0 V to a peak
    width_s: float = 0.02  #: Length of a pulse, and of the rest after it

    def build(self) -> Waveform:
        """Make the waveform. ConfigError if a value does not fit."""
        if not 1 <= self.steps <= _MOST_SAMPLES // 32:
            raise ConfigError(
                f"waveform steps must be 1 to {_MOST_SAMPLES // 32}; got {self.steps}"
            )
        up = [self.peak_V * k / self.steps for k in range(-self.steps, self.steps + 1)]
        return Waveform.pulses(up + up[-2::-1], width=self.width_s, rest=self.width_s, samples=4)


@dataclass(frozen=True, kw_only=True)
class Constant(WaveformSpec):
    """One voltage held, ``Waveform.constant``."""

    kind: Literal["constant"] = "constant"
    level_V: float
    duration_s: float | None = None
    samples: int | None = None


@dataclass(frozen=True, kw_only=True)
class Recorded(WaveformSpec):
    """The waveform of the recording that is replayed."""

    kind: Literal["recorded"] = "recorded"

    def build(self) -> None:
        """None: the microscope knows it."""
        return
