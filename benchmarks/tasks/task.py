"""Tasks: what is measured, on which microscope, towards which goal."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from grainscout.analysis.curves.descriptors import descriptor_names
from grainscout.analysis.curves.user_descriptor import is_user_descriptor, load_user_descriptor
from grainscout.benchmarks.tasks.kinds import Kinds
from grainscout.benchmarks.tasks.microscopes import MicroscopeSpec, Replay, Simulated, Topography
from grainscout.benchmarks.tasks.waveforms import Recorded, Triangle, WaveformSpec
from grainscout.experiment import StopRule
from grainscout.policies import policy_class
from grainscout.records import Budget, ConfigError, closest

_LATER = "left out of documents at its default"
T = TypeVar("T")


def later_field(default: T) -> T:
    """A setting that came later: documents leave it out at its default, as those of before."""
    made: T = field(default=default, metadata={_LATER: True})
    return made


Goal = Literal["discovery", "mapping", "optimisation", "level-set"]
GOALS: tuple[Goal, ...] = get_args(Goal)
_VERBS: Mapping[Goal, str] = {
    "discovery": "find every kind of curve",
    "mapping": "map",
    "optimisation": "maximise",
    "level-set": "find the level set of",
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question put to policies."""

    id: str = "task"  #: Unique in a campaign: letters, digits and ``/ . _ -``.
    microscope: MicroscopeSpec = field(default_factory=Simulated)  #: Microscope and sample
    #: Waveform that is applied at each site.
    waveform: WaveformSpec = field(default_factory=Triangle)
    #: Name of the descriptor to learn, or a function of yours: ``module:function [unit]`` or
    #: ``file.py:function [unit]``.
    target: str = "loop_area"
    light_suns: float = 0.0  #: Illumination [suns]
    window_px: int = 16  #: Side of the patch that must fit around a site [pixels]
    #: Images that policies see, such as ``("height", "current")``. None named: the height, or all
    #: that a recording holds.
    channels: tuple[str, ...] = later_field(())
    #: scan_bias_V, scan_light_suns: Bias of the sample [V] and illumination [suns] during the
    #: images. Without them the bias of a simulated instrument, and the light of the curves.
    scan_bias_V: float | None = None
    scan_light_suns: float | None = None
    #: Take all images in one pass, at the cost of one. Otherwise each has a pass of its own.
    scan_together: bool = later_field(True)
    #: "boundaries" keeps only the sites on grain boundaries that the image shows.
    sites: Literal["boundaries"] | None = None
    batch: int = 1  #: Sites in one decision
    #: How often a site with an unusable curve is measured again, charged to the budget.
    second_look: int = later_field(1)
    #: Ends a run before its budget when more curves would bring too little. In campaigns, policies
    #: without a model go on.
    stop: StopRule | None = None
    #: curves, seconds, wear: Budget in curves, time [s] or share of a tip's life; at least one of
    #: them. Scores run over what is spent of it.
    curves: int | None = None
    seconds: float | None = None
    wear: float | None = None
    goals: tuple[Goal, ...] = ("discovery", "mapping")  #: Goals that are scored and ranked
    #: Numbers of curves at which maps are scored and verdicts given, beside the end. One run then
    #: gives a learning curve. Without them maps are scored at fixed shares of the budget.
    checkpoints: tuple[int, ...] = later_field(())
    #: Where a level set ends, in the target's unit: the goal "level-set" asks where the target is
    #: above it. Without it, the upper quartile of each film.
    level: float | None = later_field(None)
    tags: tuple[str, ...] = ()  #: Words to choose tasks by

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w./-]+", self.id):
            raise ConfigError(f"task id must be letters, digits and / . _ -; got {self.id!r}")
        if is_user_descriptor(self.target):
            load_user_descriptor(self.target)
        elif self.target not in descriptor_names():
            raise ConfigError(
                f"task target must be one of {', '.join(descriptor_names())}, or a function of yours, "
                f"module:function or file.py:function [unit]; got {self.target!r}{closest(self.target, descriptor_names())}"
            )
        if isinstance(self.microscope, Replay) and self.waveform == Triangle():
            object.__setattr__(self, "waveform", Recorded())  # the only one that it can apply
        if not (np.isfinite(self.light_suns) and self.light_suns >= 0):
            raise ConfigError(f"task light_suns must be >= 0; got {self.light_suns}")
        if self.level is not None and not np.isfinite(self.level):
            raise ConfigError(f"task level must be finite; got {self.level}")
        self._check_images()
        if self.window_px < 1:
            raise ConfigError(f"task window_px must be at least 1 pixel; got {self.window_px}")
        if self.batch < 1:
            raise ConfigError(f"task batch must be at least 1; got {self.batch}")
        if self.second_look < 0:
            raise ConfigError(f"task second_look must be at least 0; got {self.second_look}")
        if not self.goals:
            raise ConfigError(f"task goals must name one of {', '.join(GOALS)}; got none")
        if list(self.checkpoints) != sorted({n for n in self.checkpoints if n >= 2}):
            raise ConfigError(
                f"task checkpoints must be rising numbers of at least 2 curves; got {self.checkpoints}"
            )
        if self.checkpoints and not self.counts_curves:
            raise ConfigError("task checkpoints must come with a budget of curves alone")
        self.budget()
        self.waveform.build()

    def _check_images(self) -> None:
        if len(set(self.channels)) < len(self.channels) or not all(self.channels):
            raise ConfigError(
                f"task channels must be different names of images; got {list(self.channels)}"
            )
        bias, light = self.scan_bias_V, self.scan_light_suns
        if bias is not None and not ("current" in self.channels and np.isfinite(bias)):
            raise ConfigError(
                "task scan_bias_V must be finite and come with channels that name the current; got "
                f"{bias} with {list(self.channels)}"
            )
        if light is not None and not (np.isfinite(light) and light >= 0):
            raise ConfigError(f"task scan_light_suns must be >= 0; got {light}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Come out of a worker's pipe, with the user's own descriptor loaded there, too."""
        self.__dict__.update(state)
        if is_user_descriptor(self.target):
            load_user_descriptor(self.target)

    def budget(self) -> Budget:
        """Return the budget as the loop takes it."""
        return Budget(curves=self.curves, seconds=self.seconds, wear=self.wear)

    def limits(self) -> str:
        """Return the budget in words, such as "60 curves"."""
        units = (("curves", self.curves), ("s", self.seconds), ("of a tip", self.wear))
        return " or ".join(f"{value:g} {unit}" for unit, value in units if value is not None)

    def about(self) -> str:
        """Return the task in words, such as "map loop area in 60 curves: s26, dark"."""
        target = self.target.replace("_", " ")
        verbs = [_VERBS[g] + (f" {target}" if g != "discovery" else "") for g in self.goals]
        place = "" if self.sites is None else f" on {self.sites} only"
        sample = "a file of yours" if self.microscope.needs_file else self.microscope.label
        lit = f", {self.light_suns:g} suns" if self.light_suns else ", dark"
        kind = self.waveform.kind
        sweep = "" if kind in ("triangle", "recorded") else f", {kind}"
        return f"{' and '.join(verbs)}{place} in {self.limits()}: {sample}{lit}{sweep}"

    @property
    def counts_curves(self) -> bool:
        """True if curves alone are limited, so that all policies measure as many."""
        return self.seconds is None and self.wear is None


def replay_task(file: Path, target: str, curves: int | None, **settings: Any) -> Task:
    """Make a task on the user's own recorded grid: every recorded site may be measured.

    Further settings are those of `Replay`, such as rail_A.
    """
    return Task(
        id=f"replay/{_plain(file.stem)}/{_plain(target)}",
        microscope=Replay(file=file.resolve(), **settings),
        waveform=Recorded(),
        target=target,
        window_px=1,
        curves=curves,
        tags=("replay", "real"),
    )


def topography_task(file: Path, like: Task, **own: Any) -> Task:
    """Put the transport of the task `like` on the user's own topography, with `own` settings."""
    settings = {k: v for k, v in vars(like.microscope).items() if k in Topography.settings()}
    spec = Topography(**{**settings, "kind": "topography", "file": file.resolve(), **own})
    id_ = f"topography/{_plain(file.stem)}/{like.target}"
    return dataclasses.replace(like, id=id_, microscope=spec, tags=("topography",))


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """A policy by name with its options, and the label that tables show."""

    name: str
    label: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    #: A control: the policy without what it learns, see ``campaign.twins``.
    twin: Literal["", "shuffled", "prior only"] = later_field("")

    @property
    def title(self) -> str:
        """The label, or the name where none was given."""
        return self.label or f"{self.name} {self.twin}".strip()

    @property
    def uses_truth(self) -> bool:
        """True for a control that is given the truth. It never competes."""
        return bool(getattr(policy_class(self.name), "uses_truth", False))

    @property
    def uses_budget(self) -> bool:
        """True for a policy whose first sites depend on the length of the run."""
        return bool(getattr(policy_class(self.name), "uses_budget", False))


def plain(value: Any, *, stored: bool = False) -> Any:
    """Turn dataclasses into tables that TOML and JSON can hold. None is left out.

    `stored` writes microscopes and waveforms as journals and campaign stores have always held them,
    so that those of before are recognised.
    """
    if isinstance(value, Kinds):
        value = value.stored() if stored else vars(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {
            f.name: getattr(value, f.name)
            for f in dataclasses.fields(value)
            if not (_LATER in f.metadata and getattr(value, f.name) == f.default)
        }
    if isinstance(value, Mapping):
        return {k: plain(v, stored=stored) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [plain(v, stored=stored) for v in value]
    return str(value) if isinstance(value, Path) else value


#: Keys whose texts are paths.
_FILES = ("file", "film_file", "folder", "grains", "image", "keys")


def with_paths(value: Any, change: Callable[[str], str]) -> Any:
    """Change the paths in a table of plain values, however deep they are."""
    if isinstance(value, list):
        return [with_paths(v, change) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: _with_path(k, v, change) for k, v in value.items()}


def _with_path(key: str, value: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(value, str):
        return with_paths(value, change)
    if key == "target" and ".py:" in value:  # a function in a file of the user's
        file, function = value.split(".py:", 1)
        return f"{change(file + '.py')}:{function}"
    return change(value) if key in _FILES else value
