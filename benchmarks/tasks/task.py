"""Tasks: what is measured, on which microscope, towards which goal."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from grainscout.analysis.curves.descriptors import descriptor_names
from grainscout.policies import policy_class
from grainscout.records import Budget, ConfigError, Waveform

_MOST_SAMPLES = 1_000_000

Goal = Literal["discovery", "mapping", "optimisation"]
GOALS: tuple[Goal, ...] = get_args(Goal)

#: Stands for a file that only the user has: a task with it cannot be run as it is.
YOUR_FILE = Path("your-file")


@dataclass(frozen=True, kw_only=True)
class WaveformSpec:
    """What is applied at each site; unused settings of the other kinds must be left out.

    triangle, bipolar : peak_V, samples, duration_s.  forc : peak_V, branches, rate_V_s.
    pulses : levels_V, width_s, rest_s.  constant : level_V, duration_s, samples.
    recorded : the waveform of the recording that is replayed.
    """

    kind: Literal["triangle", "bipolar", "forc", "pulses", "constant", "recorded"] = "triangle"
    peak_V: float | None = None
    samples: int | None = None
    duration_s: float | None = None
    branches: int | None = None
    rate_V_s: float | None = None
    levels_V: tuple[float, ...] | None = None
    width_s: float | None = None
    rest_s: float | None = None
    level_V: float | None = None

    def build(self) -> Waveform | None:
        """The waveform, or None for the recorded one; ConfigError names a setting that is not its."""
        names = {
            "triangle": {"peak_V": "peak", "samples": "samples", "duration_s": "duration"},
            "bipolar": {"peak_V": "peak", "samples": "samples", "duration_s": "duration"},
            "forc": {"peak_V": "peak", "branches": "branches", "rate_V_s": "rate"},
            "pulses": {"levels_V": "levels", "width_s": "width", "rest_s": "rest"},
            "constant": {"level_V": "level", "duration_s": "duration", "samples": "samples"},
            "recorded": {},
        }[self.kind]
        given = {k: v for k, v in vars(self).items() if k != "kind" and v is not None}
        for name in given:
            if name not in names:
                raise ConfigError(
                    f"waveform {name} is not a setting of {self.kind!r}; it has "
                    f"{', '.join(names) or 'none'}"
                )
        needed = {"pulses": "levels_V", "constant": "level_V"}.get(self.kind)
        if needed is not None and needed not in given:
            raise ConfigError(f"waveform {needed} must be given for {self.kind!r}")
        if self.samples is not None and self.samples > _MOST_SAMPLES:
            raise ConfigError(
                f"waveform samples must be at most {_MOST_SAMPLES}; got {self.samples}"
            )
        if self.kind == "recorded":
            return None
        return getattr(Waveform, self.kind)(**{names[k]: v for k, v in given.items()})  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class MicroscopeSpec:
    """Which microscope, and what lies under its tip.

    kind : "simulated" (a film of the preset `film`, or of the file `film_file`), "topography" (the
        preset's transport on the user's own image `file`), "replay" (the recording `file`), "ising"
        (a plane of spin lattices, options ``{ property = "magnetisation" }``), or the name of a
        registered microscope with its `options`.
    channel : name of the image's height channel, where a file has several.
    pixel_nm : overrides the file's pixel size.
    crop_px : [first row, first column, rows, columns] of the image to use.
    grain_contrast : how much stronger than its grains a boundary of the image must be; larger finds
        fewer grains.  ``grainscout simulate --topography`` shows what is found.
    instrument : named instrument preset of a simulated microscope.
    temperature_K : of a simulated film.
    """

    kind: str = "simulated"
    film: str = "reference"
    film_file: Path | None = None
    file: Path | None = None
    channel: str | None = None
    pixel_nm: float | None = None
    crop_px: tuple[int, int, int, int] | None = None
    grain_contrast: float | None = None
    instrument: str = "reference"
    temperature_K: float = 298.0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind in ("topography", "replay") and self.file is None:
            raise ConfigError(f"microscope file must be given for kind {self.kind!r}")
        if self.pixel_nm is not None and not self.pixel_nm > 0:
            raise ConfigError(f"microscope pixel_nm must be > 0 nm; got {self.pixel_nm}")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question put to policies.

    id : unique in a campaign, letters, digits and ``/ . _ -``.
    target : name of the descriptor to learn.  light_suns : illumination.
    window_px : side of the patch that must fit around a site.  batch : sites a decision.
    sites : "boundaries" leaves only those on the grain boundaries that the image shows.
    curves, seconds, wear : the budget; at least one.  Scores run over what is spent of it.
    goals : what is scored and ranked.  tags : for choosing and for people.
    """

    id: str = "task"
    microscope: MicroscopeSpec = field(default_factory=MicroscopeSpec)
    waveform: WaveformSpec = field(default_factory=WaveformSpec)
    target: str = "loop_area"
    light_suns: float = 0.0
    window_px: int = 16
    sites: Literal["boundaries"] | None = None
    batch: int = 1
    curves: int | None = None
    seconds: float | None = None
    wear: float | None = None
    goals: tuple[Goal, ...] = ("discovery", "mapping")
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w./-]+", self.id):
            raise ConfigError(f"task id must be letters, digits and / . _ -; got {self.id!r}")
        if self.target not in descriptor_names():
            raise ConfigError(
                f"task target must be one of {', '.join(descriptor_names())}; got {self.target!r}"
            )
        if not (np.isfinite(self.light_suns) and self.light_suns >= 0):
            raise ConfigError(f"task light_suns must be >= 0; got {self.light_suns}")
        if self.window_px < 1:
            raise ConfigError(f"task window_px must be at least 1 pixel; got {self.window_px}")
        if self.batch < 1:
            raise ConfigError(f"task batch must be at least 1; got {self.batch}")
        if not self.goals:
            raise ConfigError(f"task goals must name one of {', '.join(GOALS)}; got none")
        self.budget()
        self.waveform.build()

    def budget(self) -> Budget:
        """The budget as the loop takes it."""
        return Budget(curves=self.curves, seconds=self.seconds, wear=self.wear)

    def limits(self) -> str:
        """The budget in words, such as "60 curves"."""
        units = (("curves", self.curves), ("s", self.seconds), ("of a tip", self.wear))
        return " or ".join(f"{value:g} {unit}" for unit, value in units if value is not None)

    @property
    def counts_curves(self) -> bool:
        """Whether curves alone are limited: all policies then measure as many."""
        return self.seconds is None and self.wear is None

    @property
    def needs_random(self) -> bool:
        """Whether the random policy's own run is what 0 means."""
        return "mapping" in self.goals or not self.counts_curves


def replay_task(file: Path, target: str, curves: int | None) -> Task:
    """A task on the user's own recorded grid: every recorded site may be measured."""
    return Task(
        id=f"replay/{_name(file)}/{target}",
        microscope=MicroscopeSpec(kind="replay", file=file.resolve()),
        waveform=WaveformSpec(kind="recorded"),
        target=target,
        window_px=1,
        curves=curves,
        tags=("replay", "real"),
    )


def topography_task(file: Path, like: Task) -> Task:
    """The task `like`, with its transport put on the user's own topography."""
    spec = dataclasses.replace(like.microscope, kind="topography", file=file.resolve())
    id_ = f"topography/{_name(file)}/{like.target}"
    return dataclasses.replace(like, id=id_, microscope=spec, tags=("topography",))


def _name(file: Path) -> str:
    return re.sub(r"[^\w.-]", "_", file.stem)


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """A policy by name with its options, and the label that tables show."""

    name: str
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The label, or the name where none was given."""
        return self.label or self.name

    @property
    def uses_truth(self) -> bool:
        """Whether it is a control that is told the truth: never a competitor."""
        return bool(getattr(policy_class(self.name), "uses_truth", False))


def plain(value: Any) -> Any:
    """Dataclass values as what TOML and JSON can hold; what is None is left out."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
