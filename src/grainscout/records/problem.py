"""What passes between the loop and a policy: the problem, proposals and outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records.arrays import FloatArray, IntArray
from grainscout.records.curve import IVCurve
from grainscout.records.errors import ConfigError, DataError
from grainscout.records.quality import Quality
from grainscout.records.scan import Scan, Site
from grainscout.records.waveform import Waveform

Status = Literal["ok", "failed", "aborted", "saturated"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When an experiment ends: at the first limit reached.

    curves : number of measurements;  seconds : on the experiment's clock;  wear : tip wear
        used up, as the microscope reports it (a fraction, 1 = a worn-out tip).
    At least one must be given, and each that is given must be positive (ConfigError).
    """

    curves: int | None = None
    seconds: float | None = None
    wear: float | None = None

    def __post_init__(self) -> None:
        given = {k: v for k in ("curves", "seconds", "wear") if (v := getattr(self, k)) is not None}
        if not given:
            raise ConfigError("Budget must limit curves, seconds or wear; got none of them")
        for name, value in given.items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"Budget {name} must be positive; got {value}")


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """What a measurement costs on the clock: overhead + distance / speed + settle + sweep.

    speed [m/s], settle [s], overhead [s], sweep [s] (the waveform's duration).
    """

    speed: float = 1e-6
    settle: float = 0.05
    overhead: float = 0.1
    sweep: float = 1.0

    def seconds(self, distance: FloatArray | float) -> FloatArray | float:
        """Seconds for a measurement after a move of `distance` [m]; any array shape."""
        return self.overhead + distance / self.speed + self.settle + self.sweep


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """All that a policy may know before its first ask; never the truth.

    scan : the images taken beforehand;  candidates : (n, 2) int array of the sites that may be
    measured, row-major;  waveform : what will be applied at each;  light [suns];  target : name
    of the descriptor that the experiment is asked to learn (``analysis.descriptors``).
    """

    scan: Scan
    candidates: IntArray
    waveform: Waveform
    budget: Budget
    cost: CostModel = field(default_factory=CostModel)
    light: float = 0.0
    target: str = "loop_area"

    def __post_init__(self) -> None:
        sites = np.array(self.candidates)
        if sites.ndim != 2 or sites.shape[1] != 2 or sites.shape[0] == 0:
            raise DataError(
                f"Problem candidates must be an (n, 2) array of rows and columns with n >= 1; got "
                f"shape {sites.shape}"
            )
        if not np.issubdtype(sites.dtype, np.integer):
            raise DataError(f"Problem candidates must be integers; got {sites.dtype}")
        rows, columns = self.scan.shape
        outside = (sites < 0).any(1) | (sites[:, 0] >= rows) | (sites[:, 1] >= columns)
        if outside.any():
            raise DataError(
                f"Problem candidates must lie on the {rows} x {columns} scan; "
                f"{int(outside.sum())} do not, the first is {tuple(sites[outside][0])}"
            )
        sites = sites.astype(np.int64)
        sites.setflags(write=False)
        object.__setattr__(self, "candidates", sites)

    @cached_property
    def _index(self) -> IntArray:
        index = np.full(self.scan.shape, -1, np.int64)
        index[self.candidates[:, 0], self.candidates[:, 1]] = np.arange(len(self.candidates))
        return index

    def index_of(self, sites: Sequence[Site] | IntArray) -> IntArray:
        """Candidate number (n,) of each site on the scan; -1 where it is no candidate."""
        array = np.asarray(sites, np.int64).reshape(-1, 2)
        return self._index[array[:, 0], array[:, 1]]

    def as_map(self, values: ArrayLike) -> FloatArray:
        """A (rows, columns) map of one value per candidate; NaN elsewhere."""
        image = np.full(self.scan.shape, np.nan)
        image[self.candidates[:, 0], self.candidates[:, 1]] = values
        return image


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A site that a policy wants measured, with what it thought of it.

    id : unique in the experiment, given by the policy;  prediction, uncertainty : mean and
    standard deviation of the target there, in the target's unit, if the policy predicts;
    scores : named acquisition values there.
    """

    id: str
    site: Site
    prediction: float | None = None
    uncertainty: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What came of a measurement.

    proposal_id : None for a point measured by hand or attached;  curve : None if it failed or was
    aborted;  started, finished : on the experiment's clock [s];  visit : 0 for the first
    measurement at this site, 1 for the second, ...;  message : why it failed.
    """

    site: Site
    status: Status
    curve: IVCurve | None = None
    proposal_id: str | None = None
    started: float = 0.0
    finished: float = 0.0
    visit: int = 0
    message: str = ""
    quality: Quality | None = None

    @property
    def usable(self) -> bool:
        """True if there is a curve and nothing says that it must not be believed."""
        return self.curve is not None and (self.quality is None or self.quality.usable)

    def __post_init__(self) -> None:
        measured = self.status in ("ok", "saturated")
        if measured != (self.curve is not None):
            raise DataError(
                f"Outcome with status {self.status!r} must {'' if measured else 'not '}have a curve"
            )
