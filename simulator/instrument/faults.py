"""The instrument's specification, its named settings, and the ladders of faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from grainscout.records import ConfigError, PackedState, Site
from grainscout.records.validation import in_range
from grainscout.simulator.instrument.contact import (
    ApproachSpec,
    ContactSpec,
    CrashSpec,
    LandingSpec,
)
from grainscout.simulator.instrument.drift import CreepSpec, DriftSpec
from grainscout.simulator.instrument.light import LightSpec
from grainscout.simulator.instrument.noise import IDEAL_AMPLIFIER, AmplifierSpec, require
from grainscout.simulator.instrument.wear import DamageSpec, WearSpec
from grainscout.simulator.transport.parameters import TEMPERATURES


@dataclass(frozen=True, kw_only=True)
class MotionSpec:
    """How long things take on the clock.

    speed_m_per_s : travel between sites, tip lifted.  settle_s : rest after landing.
    overhead_s : approach, engage and file handling of one curve.  line_s : one line of an image,
    there and back.
    """

    speed_m_per_s: float = 1e-6
    settle_s: float = 0.05
    overhead_s: float = 0.1
    line_s: float = 1.0

    def __post_init__(self) -> None:
        require("MotionSpec speed_m_per_s", self.speed_m_per_s, "m/s", strict=True)
        for name in ("settle_s", "overhead_s", "line_s"):
            require(f"MotionSpec {name}", getattr(self, name), "s")


@dataclass(frozen=True, kw_only=True)
class InstrumentSpec:
    """A microscope: each part is a specification of its own, and None switches that part off.

    memory : whether a spot keeps its ionic state between visits (it relaxes at rest meanwhile).
    temperature_K : of the sample, 50 .. 600 K, where the transport model may be used.
    image_bias_V : sample bias of the current image (the papers': -1.5 V).
    """

    amplifier: AmplifierSpec = field(default_factory=AmplifierSpec)
    motion: MotionSpec = field(default_factory=MotionSpec)
    memory: bool = True
    temperature_K: float = 298.0
    image_bias_V: float = -1.5
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
        require("InstrumentSpec image_bias_V", abs(self.image_bias_V), "V")

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the faults that are on, for grouping results."""
        faults = [f.name for f in fields(self) if f.name in _FAULTS and getattr(self, f.name)]
        return (*(() if self.amplifier.silent else ("noise",)), *faults)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that the instrument did and its user may not have noticed; part of the truth.

    time_s : on the clock;  kind : ``"contact_lost"``, ``"approach_failed"``, ``"crash"``,
    ``"saturated"``, ``"damaged"`` (dose 1 reached) or ``"coating_lost"`` (the tip's life is over);
    detail : plain values.
    """

    time_s: float
    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def packed(self) -> PackedState:
        """As plain values for ``records.pack``."""
        return {"time_s": self.time_s, "kind": self.kind, "detail": dict(self.detail)}


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Where a measurement really took place: part of the truth.

    time_s : of the sweep's start;  site : as commanded;  offset : (rows, columns) [m] of the tip
    from it;  pixel : of the film that was measured.
    """

    time_s: float
    site: Site
    visit: int
    offset: tuple[float, float]
    pixel: Site


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

#: Named instruments.  "ideal" reads the film's own current, without memory or faults; "quiet" has
#: a good amplifier and ionic memory; "reference" adds every mild fault that spares the film.
INSTRUMENTS: dict[str, InstrumentSpec] = {
    "ideal": InstrumentSpec(amplifier=IDEAL_AMPLIFIER, memory=False),
    "quiet": QUIET,
    "reference": replace(
        QUIET,
        **{k: _FAULTS[k][0] for k in ("drift", "creep", "wear", "contact", "damage", "light")},
    ),
}


def _ladder() -> dict[str, InstrumentSpec]:
    rungs = {"none": QUIET}
    for level, suffix in enumerate(("-mild", "-severe")):
        rungs["noise" + suffix] = replace(QUIET, amplifier=_NOISY[level])
        rungs |= {k + suffix: replace(QUIET, **{k: v[level]}) for k, v in _FAULTS.items()}
        every = {k: v[level] for k, v in _FAULTS.items()}
        rungs["all" + suffix] = replace(QUIET, amplifier=_NOISY[level], **every)
    return rungs


#: Fault ladder: "none", then each fault alone and all together, each "-mild" and "-severe".
FAULT_LADDERS: dict[str, InstrumentSpec] = _ladder()


def instrument_spec(name: str) -> InstrumentSpec:
    """The named instrument or rung, with more faults joined by "+": "quiet+drift-mild+crash-severe".

    ConfigError lists the names.
    """
    first, *more = name.split("+")
    known = INSTRUMENTS | FAULT_LADDERS
    for part, names in ((first, known), *((m, FAULT_LADDERS) for m in more)):
        if part not in names:
            raise ConfigError(
                f"instrument must be one of {', '.join(known)}, with further faults joined by +; "
                f"got {part!r}"
            )
    spec = known[first]
    for part in more:
        rung, fault = FAULT_LADDERS[part], part.partition("-")[0]
        if fault in ("noise", "all"):
            spec = replace(spec, amplifier=rung.amplifier)
        faults = _FAULTS if fault == "all" else [fault] if fault in _FAULTS else []
        spec = replace(spec, **{k: getattr(rung, k) for k in faults})
    return spec
