"""Messages between loop and policy: problem, proposals and outcomes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from grainscout.records.arrays import FloatArray, IntArray, freeze
from grainscout.records.curve import IVCurve, Quality
from grainscout.records.errors import ConfigError, DataError
from grainscout.records.scan import Scan, Site, checked_sites
from grainscout.records.waveform import Waveform

Status = Literal["ok", "failed", "aborted", "saturated"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of an experiment, which ends at the first one reached.

    Attributes
    ----------
    curves : int, optional
        Number of measurements.
    seconds : float, optional
        Time on the experiment's clock [s].
    wear : float, optional
        Tip wear as the microscope reports it (a fraction, 1 = a worn-out tip).

    Raises
    ------
    ConfigError
        Unless at least one limit is given and each is positive.
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
    """Time of a measurement: overhead + distance / speed + settle + sweep.

    Attributes
    ----------
    speed : float
        Speed of a move [m/s].
    settle, overhead, sweep : float
        Times [s]. `sweep` is the waveform's duration.
    """

    speed: float = 1e-6
    settle: float = 0.05
    overhead: float = 0.1
    sweep: float = 1.0

    def seconds(self, distance: FloatArray | float) -> FloatArray | float:
        """Seconds for a measurement after a move of `distance` [m], of any shape."""
        return self.overhead + distance / self.speed + self.settle + self.sweep


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """All that a policy may know before its first ask. Never the truth.

    Attributes
    ----------
    scan : Scan
        Images taken beforehand.
    candidates : (n, 2) array of int
        Rows and columns that may be measured, row-major.
    waveform : Waveform
        Applied at each site.
    budget : Budget
        Limits of the experiment.
    cost : CostModel
        Time of a measurement.
    light : float
        Illumination [suns].
    target : str
        Descriptor to be learned (``analysis.curves.descriptors``).

    Raises
    ------
    DataError
        If the candidates are no sites of the scan.
    """

    scan: Scan
    candidates: IntArray
    waveform: Waveform
    budget: Budget
    cost: CostModel = field(default_factory=CostModel)
    light: float = 0.0
    target: str = "loop_area"

    def __post_init__(self) -> None:
        freeze(
            self, candidates=checked_sites("Problem candidates", self.candidates, self.scan.shape)
        )

    @cached_property
    def _index(self) -> IntArray:
        index = np.full(self.scan.shape, -1, np.int64)
        index[self.candidates[:, 0], self.candidates[:, 1]] = np.arange(len(self.candidates))
        return index

    def index_of(self, sites: Sequence[Site] | IntArray) -> IntArray:
        """Candidate number (n,) of each site on the scan. -1 where it is no candidate."""
        array = np.asarray(sites, np.int64).reshape(-1, 2)
        return self._index[array[:, 0], array[:, 1]]

    def as_map(self, values: ArrayLike) -> FloatArray:
        """A (rows, columns) map of one value per candidate. NaN elsewhere."""
        image = np.full(self.scan.shape, np.nan)
        image[self.candidates[:, 0], self.candidates[:, 1]] = values
        return image


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A site that a policy wants measured.

    Attributes
    ----------
    id : str
        Unique in the experiment, given by the policy.
    site : Site
        Row and column.
    prediction, uncertainty : float, optional
        Mean and standard deviation of the target there, in the target's unit.
    scores : mapping of str to float
        Acquisition values there.
    """

    id: str
    site: Site
    prediction: float | None = None
    uncertainty: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Result of a measurement.

    Attributes
    ----------
    site : Site
        Row and column.
    status : {"ok", "saturated", "failed", "aborted"}
        The first two have a curve, the others have none.
    curve : IVCurve, optional
        The measured curve.
    proposal_id : str, optional
        None for a point that was measured by hand or attached.
    started, finished : float
        On the experiment's clock [s].
    visit : int
        0 for the first measurement at this site, 1 for the second, and so on.
    message : str
        Reason of a failure.
    quality : Quality, optional
        Verdict on the curve.

    Raises
    ------
    DataError
        If status and curve disagree.
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
