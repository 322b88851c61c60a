"""Settings of instruments, and faults by severity level."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from grainscout.records import ConfigError, PackedState, Site, closest
from grainscout.records.validation import in_range, non_negative, positive
from grainscout.simulator.instrument.contact import (
    ApproachSpec,
    ContactSpec,
    CrashSpec,
    LandingSpec,
)
from grainscout.simulator.instrument.drift import CreepSpec, DriftSpec
from grainscout.simulator.instrument.noise import IDEAL_AMPLIFIER, AmplifierSpec
from grainscout.simulator.instrument.sample_memory import LightSpec
from grainscout.simulator.instrument.wear import DamageSpec, WearSpec
from grainscout.simulator.transport.parameters import TEMPERATURES


@dataclass(frozen=True, kw_only=True)
class MotionSpec:
    """Durations on the clock."""

    speed_m_per_s: float = 1e-6  #: Travel between sites, tip lifted
    settle_s: float = 0.05  #: Rest after landing
    overhead_s: float = 0.1  #: Approach, engage and file handling of one curve
    line_s: float = 1.0  #: One line of an image, there and back

    def __post_init__(self) -> None:
        positive(self, speed_m_per_s="m/s")
        non_negative(self, settle_s="s", overhead_s="s", line_s="s")


@dataclass(frozen=True, kw_only=True)
class InstrumentSpec:
    """A microscope. None switches a part off."""

    amplifier: AmplifierSpec = field(default_factory=AmplifierSpec)  #: Amplifier and converter
    motion: MotionSpec = field(default_factory=MotionSpec)  #: Durations
    #: Keep the ionic state of a spot between visits, relaxing at rest meanwhile
    memory: bool = True
    #: Temperature of the sample [K], 50 .. 600, where the transport model may be used.
    temperature_K: float = 298.0
    image_bias_V: float = -1.5  #: Sample bias of the current image [V]. The papers' is -1.5 V.
    #: Noise of the recorded deflection, a share of the setpoint. None: it is not recorded.
    deflection_noise: float | None = 0.05
    #: drift, creep, wear, contact, landing, approach, crash, damage, light: Faults, each with
    #: settings of its own
    drift: DriftSpec | None = None
    creep: CreepSpec | None = None
    wear: WearSpec | None = None
    contact: ContactSpec | None = None
    landing: LandingSpec | None = None
    approach: ApproachSpec | None = None
    crash: CrashSpec | None = None
    damage: DamageSpec | None = None
    light: LightSpec | None = None

    def __post_init__(self) -> None:
        in_range("InstrumentSpec temperature_K", self.temperature_K, *TEMPERATURES, "K")
        in_range("InstrumentSpec image_bias_V", self.image_bias_V, -math.inf, math.inf, "V")
        if self.deflection_noise is not None:
            in_range("InstrumentSpec deflection_noise", self.deflection_noise, 0.0, 0.08)

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the faults that are on."""
        faults = [f.name for f in fields(self) if f.name in _FAULTS and getattr(self, f.name)]
        return (*(() if self.amplifier.silent else ("noise",)), *faults)


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fault that the user may not have noticed. Part of the truth."""

    time_s: float  #: Time on the clock [s]
    #: "contact_lost", "approach_failed", "crash", "saturated", "damaged" (dose 1 reached) or
    #: "coating_lost" (the tip's life is over).
    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)  #: Plain values

    def packed(self) -> PackedState:
        """As plain values for ``records.pack``."""
        return {"time_s": self.time_s, "kind": self.kind, "detail": dict(self.detail)}


@dataclass(frozen=True, kw_only=True)
class Visit:
    """True place of a measurement."""

    time_s: float  #: Start of the sweep [s]
    site: Site  #: Site as commanded
    visit: int  #: Number of the visit to that site
    offset: tuple[float, float]  #: Rows' and columns' distance of the tip from it [m]
    pixel: Site  #: Pixel of the film that was measured


#: Fault -> (mild, severe).
_FAULTS: dict[str, tuple[Any, Any]] = {
    "drift": (DriftSpec(), DriftSpec(walk_m_per_sqrt_s=1.5e-9, creep_m=150e-9)),
    "creep": (CreepSpec(), CreepSpec(per_decade=0.02)),
    "wear": (WearSpec(), WearSpec(length_m=1.5e-3, life_m=4e-3)),
    "contact": (ContactSpec(), ContactSpec(loss_per_s=0.5, return_per_s=3.0)),
    "landing": (LandingSpec(), LandingSpec(ln_sd=0.3)),
    "approach": (ApproachSpec(), ApproachSpec(probability=0.08)),
    "crash": (CrashSpec(), CrashSpec(probability=0.02)),
    "damage": (DamageSpec(), DamageSpec(threshold_V=1.4)),
    "light": (LightSpec(), LightSpec(relaxation_s=60.0)),
}

_NOISY = (
    AmplifierSpec(flicker_A=1e-12, line_A=2e-12),
    AmplifierSpec(feedback_ohm=1e7, flicker_A=5e-12, line_A=1e-11),
)

QUIET = InstrumentSpec()

#: Named instruments. "ideal" reads the film's own current, without memory or faults. "quiet" has
#: a good amplifier and ionic memory. "reference" adds the mild faults that an ordinary night has:
#: drift, creep, wear, lost contact, slow light, and damage, which stays small below 2.5 V. Failed
#: approaches, crashes and contacts that differ by landing are left out.
INSTRUMENTS: dict[str, InstrumentSpec] = {
    "ideal": InstrumentSpec(amplifier=IDEAL_AMPLIFIER, memory=False),
    "quiet": QUIET,
    "reference": replace(
        QUIET,
        **{k: _FAULTS[k][0] for k in ("drift", "creep", "wear", "contact", "damage", "light")},
    ),
}


def _levels() -> dict[str, InstrumentSpec]:
    specs = {"none": QUIET}
    for level, suffix in enumerate(("-mild", "-severe")):
        every = {k: v[level] for k, v in _FAULTS.items()}
        specs["noise" + suffix] = replace(QUIET, amplifier=_NOISY[level])
        specs |= {k + suffix: replace(QUIET, **{k: v}) for k, v in every.items()}
        specs["all" + suffix] = replace(QUIET, amplifier=_NOISY[level], **every)
    return specs


#: Severity levels: "none", then each fault alone and all together, each "-mild" and "-severe".
FAULT_LADDERS: dict[str, InstrumentSpec] = _levels()


def instrument_spec(name: str) -> InstrumentSpec:
    """Find an instrument by name.

    Parameters
    ----------
    name : str
        A name in `INSTRUMENTS` or `FAULT_LADDERS`, with further faults joined by "+":
        "quiet+drift-mild+crash-severe".

    Raises
    ------
    ConfigError
        There is no such name. The message lists all.
    """
    first, *more = name.split("+")
    known = INSTRUMENTS | FAULT_LADDERS
    for part, names in ((first, known), *((m, FAULT_LADDERS) for m in more)):
        if part not in names:
            raise ConfigError(
                f"instrument must be one of {', '.join(known)}, with further faults joined by +; "
                f"got {part!r}{closest(part, known)}"
            )
    spec = known[first]
    for part in more:
        level, fault = FAULT_LADDERS[part], part.partition("-")[0]
        if fault in ("noise", "all"):
            spec = replace(spec, amplifier=level.amplifier)
        faults = _FAULTS if fault == "all" else [fault] if fault in _FAULTS else []
        spec = replace(spec, **{k: getattr(level, k) for k in faults})
    return spec
