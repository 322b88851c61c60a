"""Transfer: what one run has learnt is where the next one starts (S23, last figure)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.policies.acquisition import Belief
from grainscout.policies.models.engines import KERNELS
from grainscout.policies.models.features import coordinates, jets
from grainscout.policies.models.gp import GaussianProcess
from grainscout.policies.models.kernels import Placed
from grainscout.policies.models.surrogate import Surrogate
from grainscout.policies.models.training_targets import DescriptorTargets
from grainscout.policies.observations import Ledger
from grainscout.policies.strategies.dkl import DKL
from grainscout.policies.strategies.model_policy import Targets
from grainscout.policies.validation import check_choice, check_number
from grainscout.records import (
    ConfigError,
    DataError,
    Outcome,
    PackedState,
    PolicyError,
    Problem,
    Scan,
    pack,
    unpack,
)
from grainscout.records.arrays import FloatArray, IntArray

_FORMAT = "grainscout knowledge 1"
_APART = 50.0  # eighths of an image's side between two films: no smooth field reaches across


@dataclass(frozen=True, kw_only=True, eq=False)
class Knowledge:
    """What was measured on one film, in terms that hold on another.

    target : name of the descriptor;  height_scale [m or the channel's unit], scales [m], centre,
    spread, shift, norm : how features are scaled, so that the same relief gives the same features;
    features : (n, d);  place : (n, 2) coordinates on its own film;  y, noise : (n,) targets and noise variances.
    """

    target: str
    height_scale: float
    scales: FloatArray
    spread: FloatArray
    centre: FloatArray
    shift: FloatArray
    norm: float
    features: NDArray[np.float32]
    place: NDArray[np.float32]
    y: FloatArray
    noise: FloatArray

    def on(self, scan: Scan) -> NDArray[np.float32]:
        """(rows columns, d) features of another film's pixels, on the scale of this one's."""
        raw = _raw(scan, self.scales, self.height_scale)
        x = (np.arcsinh((raw - self.centre) / self.spread) - self.shift) / self.norm
        return np.asarray(x, np.float32)

    def save(self, path: Path | str) -> None:
        """Write it as checked bytes; an existing file is replaced."""
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        Path(path).write_bytes(pack({"format": _FORMAT, **state}))

    @classmethod
    def load(cls, path: Path | str) -> Knowledge:
        """What :meth:`save` wrote; DataError if the file is missing, damaged or another thing."""
        try:
            state = unpack(Path(path).read_bytes())
        except OSError as error:
            raise DataError(f"knowledge must be a readable file; got {path}: {error}") from error
        if state.pop("format", None) != _FORMAT or set(state) != {f.name for f in fields(cls)}:
            raise DataError(f"{path} must be written by Knowledge.save of this version")
        return cls(**state)

    def __repr__(self) -> str:
        # Part of a policy's state: two runs agree if they start from the same knowledge.
        digest = hashlib.sha256(self.features.tobytes() + self.y.tobytes() + self.noise.tobytes())
        return f"Knowledge({self.target}, {len(self.y)} curves, {digest.hexdigest()[:12]})"


def transfer(
    problem: Problem,
    learnt: Sequence[Outcome] | PackedState,
    *,
    target: str = "",
    window: int = 16,
) -> dict[str, Any]:
    """Options of ``make_policy("transfer-dkl", ...)`` that start it from an earlier run.

    problem : that of the earlier run;  learnt : its outcomes (of a journal, for example), or the
    state of any built-in policy after it;  target : descriptor, "" takes the problem's;  window :
    side of the patch [pixels], as in ``"dkl"``.
    Raises PolicyError if no curve of the run has a usable target, or the state is of another problem.
    """
    ledger = Ledger(problem)
    if isinstance(learnt, Mapping):
        if learnt.get("problem") != ledger.fingerprint:
            raise PolicyError("transfer must be given the problem that the state came from")
        ledger.restore(learnt["ledger"])
    else:
        ledger.record(learnt)
    name = target or problem.target
    archive = ledger.archive
    use, y, noise = DescriptorTargets(name, problem.waveform).of(archive)
    if not use.any():
        raise PolicyError(
            f"transfer needs at least one curve with a usable {name}; got {len(archive)} curves"
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
    rows = scan.flat(archive.sites[use])
    source = Knowledge(
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


@dataclass(kw_only=True)
class TransferDKL(DKL):
    """The options of ``"dkl"``, starting from what an earlier run has learnt on another film.

    Options
    -------
    source : what :func:`transfer` gave, or the path of a file that ``Knowledge.save`` wrote; None
        starts from nothing.
    difference : how unlike two sites of the same look on the two films are, in units of the features'
        spread: 0 takes both films for one, a large number learns next to nothing from the first.

    The earlier run's curves are data of the model beside the new ones, with features on one scale and
    one more that tells the films apart.  `features`, `channels` and `components` are those of the source
    (rotation-invariant, of the height); the engine is one in closed form.
    """

    seed_points: int = 1
    features: str = "jets"
    source: Knowledge | str | None = None
    difference: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("engine", self.engine, tuple(KERNELS))
        check_choice("features of a transfer", self.features, ("jets",))
        check_number("difference", self.difference, low=0.0)
        if isinstance(self.source, (str, Path)):
            self.source = Knowledge.load(self.source)
        if self.source is not None and not isinstance(self.source, Knowledge):
            raise ConfigError(
                "source must be what transfer() gave, the path of a saved one, or None; got "
                f"{self.source!r}"
            )

    def _begin(self) -> None:
        super()._begin()
        wanted = self.target or self.problem.target
        if isinstance(self.source, Knowledge) and self.source.target != wanted:
            raise ConfigError(
                f"source must be about the target {wanted!r}; it is about {self.source.target!r}"
            )

    @property
    def surrogate(self) -> Surrogate:
        """The model, made when it is first needed; each film has a smooth field of its own."""
        if self._surrogate is None and isinstance(self.source, Knowledge) and self.position:
            place = np.vstack([coordinates(self.problem.scan), self.source.place + _APART])
            self._surrogate = GaussianProcess(
                np.hstack([self._table(self.features), place.astype(np.float32)]),
                self._pool,
                Placed(inner=KERNELS[self.engine]),
                growth=self.refit_growth,
                robust=self.robust,
            )
        return super().surrogate

    def _table(self, kind: str) -> NDArray[np.float32]:
        if isinstance(self.source, Knowledge) and kind not in self._tables:
            here, before = self.source.on(self.problem.scan), self.source.features
            film = np.repeat([0.5, -0.5], [len(here), len(before)]) * self.difference
            self._tables[kind] = np.hstack(
                [np.vstack([here, before]), film[:, None].astype(np.float32)]
            )
        return super()._table(kind)

    def _data(self) -> Targets:
        rows, y, noise = super()._data()
        if not isinstance(self.source, Knowledge) or len(y) == 0:
            return rows, y, noise
        pixels = self.problem.scan.shape[0] * self.problem.scan.shape[1]
        # The earlier curves first: new ones are then updates of the same model.
        before = pixels + np.arange(len(self.source.y))
        return (
            np.concatenate([before, rows]),
            np.concatenate([self.source.y, y]),
            np.concatenate([self.source.noise, noise]),
        )

    def _belief(self, open_: IntArray) -> Belief:
        belief = super()._belief(open_)
        if isinstance(self.source, Knowledge):
            # What is best or new is judged by this film's curves alone.
            belief.measured = belief.measured[len(self.source.y) :]
        return belief
