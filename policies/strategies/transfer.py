"""Transfer: one run starts from the curves of an earlier one (Liu2023, last figure)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.models.features import check_window, coordinates, feature_table, jets
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.observations import ObservationHistory
from grainscout.policies.parts.roles import NO_DATA, Features, RunContext, TrainingData
from grainscout.policies.recipe import Recipe
from grainscout.policies.validation import option
from grainscout.records.arrays import FloatArray
from grainscout.records.encoding.packing import PackedState, pack, unpack
from grainscout.records.errors import ConfigError, DataError, PolicyError
from grainscout.records.files import regular
from grainscout.records.problem import Outcome, Problem
from grainscout.records.scan import Scan

_FORMAT = "grainscout knowledge 1"  # written by every version so far
_APART = 50.0  # eighths of an image's side between two films: no smooth field reaches across


@dataclass(frozen=True, kw_only=True, eq=False)
class TransferData:
    """Data of one film, in terms that hold on another."""

    target: str  #: Name of the descriptor
    height_scale: float  #: Scale of the height [m or the channel's unit]
    scales: FloatArray  #: Lengths of the derivatives [m], (4,)
    #: spread, centre, shift: Scaling of the features, so that the same relief gives the same
    #: features, (d,).
    spread: FloatArray
    centre: FloatArray
    shift: FloatArray
    norm: float  #: Scaling of the features, for all together
    features: NDArray[np.float32]  #: Features of the measured sites, (n, d)
    place: NDArray[np.float32]  #: Coordinates of the sites on their own film, (n, 2)
    #: y, noise: Targets and noise variances, (n,).
    y: FloatArray
    noise: FloatArray

    def on(self, scan: Scan) -> NDArray[np.float32]:
        """(rows columns, d) features of another film's pixels, on the scale of this one's."""
        raw = _raw(scan, self.scales, self.height_scale)
        x = (np.arcsinh((raw - self.centre) / self.spread) - self.shift) / self.norm
        return np.asarray(x, np.float32)

    def save(self, path: Path | str) -> None:
        """Write it as checked bytes. An existing file is replaced."""
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        Path(path).write_bytes(pack({"format": _FORMAT, **state}))

    @classmethod
    def load(cls, path: Path | str) -> "TransferData":
        """Read a file of :meth:`save`. DataError if it is missing, damaged or another thing."""
        try:
            state = unpack(regular(path).read_bytes())
        except OSError as error:
            raise DataError(
                f"transfer data must be a readable file; got {path}: {error}"
            ) from error
        if state.pop("format", None) != _FORMAT or set(state) != {f.name for f in fields(cls)}:
            raise DataError(f"{path} must be written by TransferData.save of this version")
        return cls(**state)

    def __repr__(self) -> str:
        # Part of a policy's state: two runs agree if they start from the same data.
        digest = hashlib.sha256(self.features.tobytes() + self.y.tobytes() + self.noise.tobytes())
        return f"TransferData({self.target}, {len(self.y)} curves, {digest.hexdigest()[:12]})"


def transfer(
    problem: Problem, learnt: Sequence[Outcome] | PackedState, *, target: str = "", window: int = 16
) -> dict[str, Any]:
    """Options of ``make_policy("transfer-dkl", ...)`` that start it from an earlier run.

    Parameters
    ----------
    problem : Problem
        Problem of the earlier run.
    learnt : sequence of Outcome, or dict
        Its outcomes (of a journal, for example), or the state of any built-in policy after it.
    target : str
        Name of the descriptor. Empty takes the problem's.
    window : int
        Side of the patch [pixels], as in ``"dkl"``.

    Raises
    ------
    PolicyError
        If no curve of the run has a usable target, or the state is of another problem.
    """
    history = ObservationHistory(problem)
    if isinstance(learnt, Mapping):
        if learnt.get("problem") != history.fingerprint:
            raise PolicyError("transfer must be given the problem that the state came from")
        history.restore(learnt["ledger"])
    else:
        history.record(learnt)
    name = target or problem.target
    observations = history.observations
    use, y, noise = DescriptorTargets(name, problem.waveform).of(observations)
    if not use.any():
        raise PolicyError(
            f"transfer needs at least one curve with a usable {name}; got {len(observations)} curves"
        )
    scan = problem.scan
    spread = float(_height(scan).std())
    height_scale = spread if spread > 0 else 1.0
    pixel = float(np.sqrt(scan.pixel_size[0] * scan.pixel_size[1]))
    scales = np.array([max(0.7, window / 16 * k) * pixel for k in (1.0, 2.0, 4.0, 8.0)])
    raw = _raw(scan, scales, height_scale)
    centre, width = raw.mean(0), raw.std(0)
    width[width == 0] = 1.0
    x = np.arcsinh((raw - centre) / width)
    shift = x.mean(0)
    norm = float(np.sqrt(((x - shift) ** 2).sum(1).mean())) or 1.0
    rows = scan.flat(observations.sites[use])
    source = TransferData(
        target=name,
        height_scale=height_scale,
        scales=scales,
        spread=width,
        centre=centre,
        shift=shift,
        norm=norm,
        features=np.asarray((x[rows] - shift) / norm, np.float32),
        place=coordinates(scan)[rows],
        y=y,
        noise=noise,
    )
    return {"source": source, "target": target, "window": window}


def _height(scan: Scan) -> FloatArray:
    return scan.height if "height" in scan.channels else next(iter(scan.channels.values()))


def _raw(scan: Scan, scales: FloatArray, height_scale: float) -> FloatArray:
    """(rows columns, d) rotation-invariant derivatives at these scales [m] of the scaled height."""
    mean = float(np.sqrt(scan.pixel_size[0] * scan.pixel_size[1]))
    aspect = (scan.pixel_size[0] / mean, scan.pixel_size[1] / mean)
    image = _height(scan)
    found = jets((image - image.mean()) / height_scale, tuple(scales / mean), aspect)
    return found.reshape(image.size, -1).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class TransferFeatures(Features):
    """Features of this film and of the measured sites of an earlier one, on one scale."""

    #: Data from :func:`transfer`, or the path of a file that ``TransferData.save`` wrote. None
    #: starts from nothing.
    source: TransferData | str | None = None
    #: Unlikeness of two sites of the same look on the two films, in units of the features' spread.
    #: 0 takes both films for one, a large number learns next to nothing from the first.
    difference: float = option(1.0, low=0.0)
    #: Side of the patch without a source [pixels]. With one it must fit the image all the same.
    window: int = option(16, low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.source, (str, Path)):
            object.__setattr__(self, "source", TransferData.load(self.source))
        if self.source is not None and not isinstance(self.source, TransferData):
            raise ConfigError(
                "source must be data of transfer(), the path of saved ones, or None; got "
                f"{self.source!r}"
            )

    @property
    def _data(self) -> TransferData | None:
        return self.source if isinstance(self.source, TransferData) else None

    def begin(self, run: RunContext) -> None:
        """Check window and target."""
        check_window(self.window, run.problem.scan.shape)
        wanted = run.described.name
        if self._data is not None and self._data.target != wanted:
            raise ConfigError(
                f"source must be about the target {wanted!r}; it is about {self._data.target!r}"
            )

    def table(self, scan: Scan) -> NDArray[np.float32]:
        """(pixels + n, d + 1) features of both films, the last one telling which."""
        if self._data is None:
            return feature_table(scan, kind="jets", window=self.window)
        here, before = self._data.on(scan), self._data.features
        film = np.repeat([0.5, -0.5], [len(here), len(before)]) * self.difference
        return np.hstack([np.vstack([here, before]), film[:, None].astype(np.float32)])

    def place(self, scan: Scan) -> NDArray[np.float32]:
        """(pixels + n, 2) coordinates. Each film has a smooth field of its own."""
        here = coordinates(scan)
        if self._data is None:
            return here
        return np.vstack([here, self._data.place + _APART]).astype(np.float32)

    def earlier(self, scan: Scan) -> TrainingData:
        """The earlier run's curves."""
        if self._data is None:
            return NO_DATA
        pixels = scan.shape[0] * scan.shape[1]
        rows = pixels + np.arange(len(self._data.y))
        return TrainingData(rows, self._data.y, self._data.noise)


transfer_dkl = Recipe(
    "TransferDKL",
    """DKL that starts from the curves of an earlier run on another film: :func:`transfer`.

    The earlier run's curves are data of the model beside the new ones. Features are
    rotation-invariant, of the height, and on one scale for both films.
    """,
    seed_points=1,
    features=TransferFeatures(),
    never=("features", "channels", "components"),
)
