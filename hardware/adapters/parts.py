"""A microscope of parts: a mover places the tip, a meter measures, a lamp illuminates."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Literal, cast

from grainscout.hardware.adapters.shared import BiasTo, as_applied, as_at_sample
from grainscout.hardware.protocol import (
    Capabilities,
    Clock,
    Lamp,
    Meter,
    Microscope,
    Mover,
    Paper,
    Part,
    Rescue,
    SupportsClose,
    SupportsContact,
    SupportsDisplace,
    SupportsGo,
    SupportsImageBias,
    SupportsLimitCurrent,
    SupportsLook,
    SupportsRescue,
    SupportsSettings,
    on_paper,
)
from grainscout.hardware.registry import make_microscope, paper_of
from grainscout.records.curve import IVCurve
from grainscout.records.encoding.packing import PackedState
from grainscout.records.errors import ConfigError, MicroscopeError
from grainscout.records.problem import CostModel
from grainscout.records.registry import Registry, one_of
from grainscout.records.scan import Scan, Site
from grainscout.records.supports import supports
from grainscout.records.waveform import Waveform

_VISA = "grainscout.hardware.adapters.visa.source_meter"
METERS: Registry[Meter] = Registry(
    "meter",
    group="grainscout.meters",
    builtin={
        "keithley-2400": f"{_VISA}:keithley_2400",
        "keithley-2450": f"{_VISA}:keithley_2450",
        "keithley-2600": f"{_VISA}:keithley_2600",
        "keysight-b2900": f"{_VISA}:keysight_b2900",
        "nidaqmx": "grainscout.hardware.adapters.nidaq:NiMeter",
        "zurich": "grainscout.hardware.adapters.zurich:ZurichMeter",
    },
)
LAMPS: Registry[Lamp] = Registry(
    "lamp",
    group="grainscout.lamps",
    builtin={
        "hand": "grainscout.hardware.adapters.parts:HandLamp",
        "nidaqmx": "grainscout.hardware.adapters.nidaq:NiLamp",
    },
)
#: Movers that are no microscopes by themselves.
MOVERS: Registry[Mover] = Registry(
    "mover",
    group="grainscout.movers",
    builtin={
        "nanosurf": "grainscout.hardware.adapters.nanosurf:open_nanosurf",
        "park": "grainscout.hardware.adapters.park_systems:open_park",
    },
)


class MicroscopeOfParts:
    """A mover with a meter and a lamp in the place of its own. With a meter its own bias stays at 0 V."""

    def __init__(
        self,
        mover: Microscope,
        meter: Meter | None = None,
        lamp: Lamp | None = None,
        *,
        bias_to: BiasTo = "sample",
    ) -> None:
        self._mover, self._meter, self._lamp, self._bias_to = mover, meter, lamp, bias_to
        if meter is not None and not supports(mover, SupportsGo):
            raise ConfigError(
                f"mover must be a microscope that places its tip by go(site); "
                f"{type(mover).__name__} has none"
            )
        able = {"look": SupportsLook, "displace": SupportsDisplace}
        #: Of the mover's methods.
        self.unsupported = frozenset(n for n, kind in able.items() if not supports(mover, kind))

    @property
    def capabilities(self) -> Capabilities:
        """The mover's capabilities, with the meter's waveforms and the lamp's light."""
        rise_s = None if self._meter is None else self._meter.rise_s
        return _with_parts(self._mover.capabilities, rise_s, light=self._lamp is not None)

    @property
    def clock(self) -> Clock:
        """The mover's clock."""
        return self._mover.clock

    @property
    def cost(self) -> CostModel:
        """The mover's cost."""
        return self._mover.cost

    def image_bias(self, volts: float) -> None:
        """Set the bias of the mover's images [V]. ConfigError if it has none, or a meter biases."""
        if self._meter is not None or not supports(self._mover, SupportsImageBias):
            raise ConfigError("image bias needs a mover that sets one itself; this one does not")
        self._mover.image_bias(volts)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Take the mover's image, with the meter off. Its metadata tell the settings of all parts."""
        if self._meter is not None:
            self._meter.off()
        image = self._mover.scan(channels)
        return replace(image, metadata={**image.metadata, "settings": self.settings()})

    def look(self, part: Part) -> Scan:
        """Look with the meter off."""
        if self._meter is not None:
            self._meter.off()
        return cast("SupportsLook", self._mover).look(part)

    def displace(self, rows: float, columns: float) -> None:
        """Displace the mover's sites [pixels]."""
        cast("SupportsDisplace", self._mover).displace(rows, columns)

    def go(self, site: Site) -> None:
        """Place the tip with the meter off."""
        if self._meter is not None:
            self._meter.off()
        if not supports(self._mover, SupportsGo):
            raise MicroscopeError(f"{type(self._mover).__name__} cannot go without measuring")
        self._mover.go(site)

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Go there with the output off, then sweep."""
        if self._meter is None:
            return self._mover.measure(site, waveform)
        self.go(site)
        curve = self._meter.sweep(as_applied(waveform, self._bias_to))
        return as_at_sample(curve, self._bias_to)

    def light(self, suns: float) -> None:
        """Set the lamp, or the mover's light."""
        if self._lamp is None:
            self._mover.light(suns)
        else:
            self._lamp.set(suns)

    def settings(self) -> PackedState:
        """Settings of all parts."""
        found: PackedState = {"bias_to": self._bias_to} if self._meter is not None else {}
        parts: tuple[object, ...] = (self._mover, self._meter)
        for part in parts:
            if supports(part, SupportsSettings):
                found = {**part.settings(), **found}
        return found if self._lamp is None else {**found, "lamp": self._lamp.settings()}

    def rescues(self) -> Sequence[Rescue]:
        """The meter's, then the mover's."""
        parts: tuple[object, ...] = (self._meter, self._mover)
        return [job for part in parts if supports(part, SupportsRescue) for job in part.rescues()]

    def contact(self) -> bool:
        """Tell if the tip may be in contact, as the mover knows it."""
        return not supports(self._mover, SupportsContact) or self._mover.contact()

    def landings(self) -> int:
        """Number of landings that the mover confirmed. 0 if it confirms none."""
        return self._mover.landings() if supports(self._mover, SupportsContact) else 0

    def park(self) -> None:
        """Switch the output off and withdraw, the second even if the first fails."""
        try:
            if self._meter is not None:
                self._meter.off()
        finally:
            self._mover.park()

    def close(self) -> None:
        """Close all parts, each even if another fails."""
        parts: tuple[object, ...] = (self._mover, self._lamp, self._meter)
        with ExitStack() as last_first:
            for part in parts:
                if supports(part, SupportsClose):
                    last_first.callback(part.close)


def _with_parts(able: Capabilities, rise_s: float | None, *, light: bool) -> Capabilities:
    able = replace(able, light=able.light or light)
    if rise_s is None:
        return able
    return replace(
        able,
        waveform=None,
        waveforms=(),
        slew_factor=1.0,
        rise_s=rise_s,
        rail_A=None,
        sweeps=1,
        held_samples=0,
        rescue=f"switch the meter's output off; {able.rescue}",
    )


def _parts_paper(
    *,
    mover: str,
    mover_options: Mapping[str, Any] | None = None,
    meter: str = "",
    meter_options: Mapping[str, Any] | None = None,
    lamp: str = "",
    lamp_options: Mapping[str, Any] | None = None,
    **_: object,
) -> Paper | None:
    """What the parts tell before they are opened, their options checked."""
    under = None if mover in MOVERS.names() else paper_of(mover, mover_options)
    if lamp:
        LAMPS.checked(lamp, lamp_options)
    rise_s: float | None = None
    if meter:
        METERS.checked(meter, meter_options)
        known = {**METERS.options(meter), **(meter_options or {})}
        rise_s = float(known.get("rise_s", 0.0))
    if under is None:
        return None
    able = _with_parts(under.capabilities, rise_s, light=bool(lamp))
    if meter:
        return Paper(capabilities=able, cost=under.cost)
    return replace(under, capabilities=able)


def _as_parts(
    *,
    mover: str,
    mover_options: Mapping[str, Any] | None = None,
    model: str = "2400",
    bias_to: BiasTo = "sample",
    **meter: Any,
) -> dict[str, Any]:
    """Options of `open_source_meter` as those of `open_parts`."""
    one_of("model", model, ("2400", "2450", "2600"))
    parts = {"meter": f"keithley-{model}", "meter_options": meter, "bias_to": bias_to}
    return {"mover": mover, "mover_options": mover_options, **parts}


class CompliantMicroscope(MicroscopeOfParts):
    """With a meter that can limit its current."""

    def limit_current(self, amperes: float) -> None:
        """Set the compliance of the meter [A]."""
        meter: object = self._meter
        if supports(meter, SupportsLimitCurrent):
            meter.limit_current(amperes)


@on_paper(_parts_paper)
def open_parts(
    *,
    mover: str,  # park, nanosurf, or a microscope that places its tip: nanonis, aecroscopy, aespm
    mover_options: Mapping[str, Any] | None = None,
    meter: str = "",  # what measures, such as keithley-2450
    meter_options: Mapping[str, Any] | None = None,
    lamp: str = "",  # what illuminates: nidaqmx, or hand for one that a person sets
    lamp_options: Mapping[str, Any] | None = None,
    bias_to: BiasTo = "sample",  # where the meter's output is wired to
) -> MicroscopeOfParts:
    """Open a microscope of parts. An empty meter or lamp is the mover's own."""
    one_of("bias_to", bias_to, ("sample", "tip"))
    # Mistaken options are told before anything is opened.
    if meter:
        METERS.checked(meter, meter_options)
    if lamp:
        LAMPS.checked(lamp, lamp_options)
    own = mover in MOVERS.names()
    under = MOVERS.make(mover, mover_options) if own else make_microscope(mover, mover_options)
    measures: Meter | None = None
    try:
        measures = METERS.make(meter, meter_options) if meter else None
        shines = LAMPS.make(lamp, lamp_options) if lamp else None
        kind = (
            CompliantMicroscope if supports(measures, SupportsLimitCurrent) else MicroscopeOfParts
        )
        return kind(under, measures, shines, bias_to=bias_to)
    except (ConfigError, MicroscopeError):
        opened: tuple[object, ...] = (measures, under)
        for part in opened:
            if supports(part, SupportsClose):
                part.close()
        raise


@on_paper(lambda **options: _parts_paper(**_as_parts(**options)))
def open_source_meter(
    *,
    resource: str,
    mover: str,
    mover_options: Mapping[str, Any] | None = None,
    model: Literal["2400", "2450", "2600"] = "2400",
    bias_to: BiasTo = "sample",
    **meter: Any,
) -> MicroscopeOfParts:
    """Open a Keithley on another microscope: `open_parts` in the words of earlier files."""
    own: dict[str, Any] = {"mover": mover, "mover_options": mover_options, "model": model}
    return open_parts(**_as_parts(**own, bias_to=bias_to, resource=resource, **meter))


class HandLamp:
    """A lamp that a person sets and the file states [suns], so that curves are filed under it."""

    def __init__(self, *, suns: float, note: str = "") -> None:
        if not (math.isfinite(suns) and suns >= 0):
            raise ConfigError(f"suns must be finite and >= 0; got {suns}")
        self._suns, self._note = suns, note

    def set(self, suns: float) -> None:
        """Agree to what was stated. MicroscopeError for anything else."""
        if suns != self._suns:
            raise MicroscopeError(
                f"the lamp was set by hand to {self._suns:g} suns (option suns); got {suns:g}. Set the lamp and "
                "the option, then start anew"
            )

    def settings(self) -> PackedState:
        """What was stated."""
        return {"suns": self._suns, "set": "by hand", "note": self._note}

    def close(self) -> None:
        """Leave the lamp as it is."""
