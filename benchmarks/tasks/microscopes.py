"""Microscopes as configuration files give them: one class for each kind, which opens itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from grainscout.benchmarks.tasks.kinds import Kinds
from grainscout.benchmarks.tasks.truth import TaskTruth, film_truth, recording_truth
from grainscout.hardware import Microscope, make_microscope, microscope_names
from grainscout.hardware.protocol import Paper
from grainscout.hardware.registry import paper_of
from grainscout.records.arrays import FloatArray
from grainscout.records.errors import ConfigError, DataError
from grainscout.records.problem import Problem
from grainscout.records.recording import Recording
from grainscout.records.registry import closest
from grainscout.records.scan import Scan
from grainscout.records.streams import spawn_streams

if TYPE_CHECKING:
    from grainscout.simulator import Film, FilmSpec

#: Stands for a file that only the user has: a task with it cannot be run as it is.
YOUR_FILE = Path("your-file")


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenedMicroscope:
    """A microscope, and what is known of the sample under its tip."""

    microscope: Microscope  #: Nothing has moved yet
    film: Film | None = None  #: The simulated film
    recording: Recording | None = None  #: The grid of curves that is replayed
    #: Gives the truth at a problem's candidates. None on a real instrument.
    truth: Callable[[Problem], TaskTruth] | None = None
    notes: tuple[str, ...] = ()  #: Sentences on what was assumed, filled or left out of a file


class MicroscopeSpec(Kinds):
    """Microscope of a task, and the sample under its tip.

    ``MicroscopeSpec(kind=..., **settings)`` makes a `Simulated`, `Topography`, `Replay` or `Ising`,
    or a `Registered` for every other kind.
    """

    family = "microscope"
    default_kind = "simulated"
    shared = frozenset(("film", "instrument", "temperature_K"))
    empty = frozenset(("options",))
    #: True if runs can be scored against a truth.
    has_truth: ClassVar[bool] = True

    @classmethod
    def class_of(cls, kind: object) -> type[Self]:
        """The class of a kind. `Registered` for a kind that is not our own."""
        classes = cls.classes()
        return classes.get(str(kind), classes[Registered.kind])

    @property
    def label(self) -> str:
        """What is measured, for tables: the kind and its file, or what is simulated."""
        file = getattr(self, "file", None)
        return self.kind if file is None else f"{self.kind} of {file.stem}"

    @property
    def needs_file(self) -> bool:
        """True for a template whose file is still to be named by the user."""
        return getattr(self, "file", None) == YOUR_FILE

    @property
    def one_sample(self) -> bool:
        """True if every seed meets the same sample."""
        return False

    def open(self, seed: int) -> OpenedMicroscope:
        """Open the microscope on the sample of that seed.

        Raises
        ------
        ConfigError
            For unknown names.
        DataError
            For unusable files.
        """
        raise ConfigError(f"a microscope specification must open itself; got {type(self).__name__}")

    def on_paper(self) -> Paper | None:
        """What the instrument says of itself before it is opened. ConfigError for its options."""
        return None

    def notes(self) -> tuple[str, ...]:
        """What was assumed, filled or left out of a file, in sentences."""
        return ()

    def stored(self) -> dict[str, Any]:
        """The settings beside the defaults of other kinds, which stores have always held."""
        held = {"film": "reference", "instrument": "reference", "temperature_K": 298.0}
        return {**held, "options": {}, **super().stored()}


@dataclass(frozen=True, kw_only=True)
class Simulated(MicroscopeSpec):
    """A simulated film under a simulated instrument."""

    kind: Literal["simulated"] = "simulated"
    film: str = "reference"  #: Preset that films are generated from
    film_file: Path | None = None  #: One saved film instead
    #: Instrument preset or rung of the fault ladders, joined by ``+``.
    instrument: str = "reference"
    temperature_K: float = 298.0  #: Temperature of the film [K]

    @property
    def label(self) -> str:
        """The film, and the instrument unless it is the reference."""
        film = self.film if self.film_file is None else self.film_file.stem
        return film if self.instrument == "reference" else f"{film}, {self.instrument}"

    @property
    def one_sample(self) -> bool:
        """True for a saved film."""
        return self.film_file is not None

    def open(self, seed: int) -> OpenedMicroscope:
        """Open the microscope on a film of that seed, or on the saved one."""
        from grainscout.hardware.simulated import open_simulated

        scope = open_simulated(
            film=self.film if self.film_file is None else str(self.film_file.resolve()),
            instrument=self.instrument,
            temperature_K=self.temperature_K,
            seed=seed,
        )
        return _simulated(scope, scope.instrument.film, self.temperature_K)


@dataclass(frozen=True, kw_only=True)
class Topography(MicroscopeSpec):
    """A preset's transport on the grains of the user's own image."""

    kind: Literal["topography"] = "topography"
    file: Path  #: Image file
    film: str = "reference"  #: Preset whose transport the film has
    #: Height channel. Without it, the image in metres whose name says height.
    channel: str | None = None
    pixel_nm: float | None = None  #: Pixel size [nm] instead of the file's
    height_unit: str | None = None  #: Unit of the heights, such as "nm", where the file says none
    #: First row, first column, rows and columns of the image to use.
    crop_px: tuple[int, int, int, int] | None = None
    grains: Path | None = None  #: Your own mask or label image of the grains; else they are found
    #: Strength of a boundary of the image over its grains. A larger one finds fewer grains;
    #: ``grainscout simulate --topography`` shows them.
    grain_contrast: float | None = None
    #: True draws a new film in the image's likeness for each seed, instead of one on its grains.
    new_films: bool | None = None
    instrument: str = "reference"  #: Instrument preset
    temperature_K: float = 298.0  #: Temperature of the film [K]

    def __post_init__(self) -> None:
        if self.pixel_nm is not None and not self.pixel_nm > 0:
            raise ConfigError(f"microscope pixel_nm must be > 0 nm; got {self.pixel_nm}")
        if self.grains is not None and self.grain_contrast is not None:
            raise ConfigError("microscope grain_contrast must be left out with grains of your own")

    def open(self, seed: int) -> OpenedMicroscope:
        """Open the microscope on a film with the image's grains."""
        from grainscout.hardware.simulated import on_film

        film = (film_like_image if self.new_films else film_on_image)(self, seed)
        scope = on_film(film, self.instrument, seed, temperature_K=self.temperature_K)
        return replace(_simulated(scope, film, self.temperature_K), notes=self.notes())

    def notes(self) -> tuple[str, ...]:
        """What was assumed, filled or left out of the image, in sentences."""
        from grainscout.analysis.formats import notes_of

        image = _image(self)
        _checked_height(self.file, image)
        return tuple(notes_of(image))


@dataclass(frozen=True, kw_only=True)
class Replay(MicroscopeSpec):
    """A recorded grid of curves, measured again."""

    kind: Literal["replay"] = "replay"
    file: Path  #: Recording
    channel: str | None = None  #: Image that policies see, where the file has several
    current: str | None = None  #: Channel of the curves, where the file has several
    cycle: int | None = None  #: Number of the sweep to take, from 0, where each site has several
    #: Full scale of the current amplifier [A]; without it, rails are found.
    rail_A: float | None = None
    pixel_nm: float | None = None  #: Pixel size [nm] instead of the file's
    #: First row, first column, rows and columns of the part to use.
    crop_px: tuple[int, int, int, int] | None = None
    #: Your own mask or label image of the grains, from which policies take their features.
    grains: Path | None = None

    @property
    def one_sample(self) -> bool:
        """True: a recording is the same for every seed."""
        return True

    def open(self, seed: int) -> OpenedMicroscope:
        """Open the recording. DataError if the file holds no grid of curves."""
        from grainscout.analysis.formats import notes_of, read_grains
        from grainscout.hardware.replay import ReplayMicroscope, open_replay

        scope = open_replay(
            str(self.file),
            rail_A=self.rail_A,
            channel=self.channel,
            current=self.current,
            cycle=self.cycle,
            pixel_nm=self.pixel_nm,
            crop_px=self.crop_px,
        )
        if self.grains is not None:
            scan = scope.recording.scan
            grains = read_grains(self.grains, scan).astype(np.float64)
            scan = replace(scan, channels={**scan.channels, "grains": grains})
            scope = ReplayMicroscope(replace(scope.recording, scan=scan), cost=scope.cost)
        opened = _replayed(scope, scope.recording, partial(recording_truth, scope.recording))
        return replace(opened, notes=tuple(notes_of(scope.recording)))

    def notes(self) -> tuple[str, ...]:
        """What was assumed, filled or left out of the recording, in sentences."""
        return self.open(0).notes


@dataclass(frozen=True, kw_only=True)
class Ising(MicroscopeSpec):
    """A plane of spin lattices, ``options = { property = "magnetisation" }``."""

    kind: Literal["ising"] = "ising"
    #: ``property`` that is measured, see ``ising.PROPERTIES``.
    options: dict[str, Any] = field(default_factory=dict)

    def open(self, seed: int) -> OpenedMicroscope:
        """Open the plane of that seed."""
        from grainscout.benchmarks.tasks.ising import ising_recording, ising_truth
        from grainscout.hardware import ReplayMicroscope

        recording = ising_recording(seed, self.options)

        def truth(problem: Problem) -> TaskTruth:
            return ising_truth(seed, recording_truth(recording, problem), problem)

        return _replayed(ReplayMicroscope(recording), recording, truth)


@dataclass(frozen=True, kw_only=True)
class Registered(MicroscopeSpec):
    """An instrument by the name that it is registered under, with its options."""

    has_truth = False
    kind: str = "registered"  #: One of ``grainscout list microscopes``
    options: dict[str, Any] = field(default_factory=dict)  #: Settings of that instrument

    def on_paper(self) -> Paper | None:
        """What the instrument says of itself before it is opened. ConfigError for its options."""
        self._known()
        return paper_of(self.kind, self.options)

    def open(self, seed: int) -> OpenedMicroscope:
        """Connect to the instrument. The seed changes nothing."""
        self._known()
        return OpenedMicroscope(microscope=make_microscope(self.kind, self.options))

    def _known(self) -> None:
        known = microscope_names()
        if self.kind not in known:
            names = sorted({*MicroscopeSpec.classes(), *known} - {Registered.kind})
            raise ConfigError(
                f"microscope kind must be one of {', '.join(names)}; got {self.kind!r}{closest(self.kind, names)}"
            )


def _simulated(scope: Microscope, film: Film, temperature: float) -> OpenedMicroscope:
    return OpenedMicroscope(
        microscope=scope, film=film, truth=partial(film_truth, film, temperature=temperature)
    )


def _replayed(
    scope: Microscope, recording: Recording, truth: Callable[[Problem], TaskTruth]
) -> OpenedMicroscope:
    return OpenedMicroscope(microscope=scope, recording=recording, truth=truth)


# Policies of one campaign meet on the same film: a worker makes it once.
@lru_cache(maxsize=4)
def film_on_image(spec: Topography, seed: int) -> Film:
    """Put the preset's transport on the grains of the image."""
    from grainscout.analysis.formats import read_grains
    from grainscout.simulator import Film, preset

    scan = _image(spec)
    image, pixel_size = _checked_height(spec.file, scan)
    labels = None if spec.grains is None else read_grains(spec.grains, scan)
    film = preset(spec.film)
    if spec.grain_contrast is not None:
        segmentation = replace(film.segmentation, contrast=spec.grain_contrast)
        film = replace(film, segmentation=segmentation)
    return Film.from_topography(
        image, pixel_size, spec=film, seed=spawn_streams(seed).film, labels=labels
    )


@lru_cache(maxsize=4)
def film_like_image(spec: Topography, seed: int) -> Film:
    """Draw a new film in the likeness of the image."""
    from grainscout.simulator import Film

    return Film.generate(_likeness(replace(spec, new_films=None)), spawn_streams(seed).film)


@lru_cache(maxsize=4)
def _likeness(spec: Topography) -> FilmSpec:
    from grainscout.simulator.film.likeness import spec_like

    return spec_like(film_on_image(spec, 0))


def height_image(
    file: Path, channel: str | None = None, **options: Any
) -> tuple[FloatArray, tuple[float, float]]:
    """Read a height image [m] and its pixel size [m], with the options of `Topography`."""
    return _checked_height(file, _image(Topography(file=file, channel=channel, **options)))


def _checked_height(file: Path, scan: Scan) -> tuple[FloatArray, tuple[float, float]]:
    if "height" not in scan.channels:
        names = ", ".join(f"{n} [{scan.units.get(n, 'no unit')}]" for n in scan.channels)
        raise DataError(
            f"{file}: must hold a topography in metres; got {names}. Choose one with channel, and "
            "give its unit with height_unit if it has none"
        )
    return scan.height, scan.pixel_size


def _image(spec: Topography) -> Scan:
    """The image of a file, or of its grid of curves."""
    changed = spec.file.stat().st_mtime_ns if spec.file.is_file() else 0
    options = {"channel": spec.channel, "pixel_nm": spec.pixel_nm, "height_unit": spec.height_unit}
    return _read(spec.file, changed, crop_px=spec.crop_px, **options)


@lru_cache(maxsize=4)
def _read(
    file: Path, changed: int, crop_px: tuple[int, int, int, int] | None, **options: Any
) -> Scan:
    from grainscout.analysis.formats import read_image

    return read_image(file, crop_px=crop_px, **options)
