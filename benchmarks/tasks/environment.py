"""Setting up a task: the film or recording, the microscope behind its limits, and the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from grainscout.analysis.formats import Recording, read
from grainscout.benchmarks.tasks.ising import ising_recording, ising_truth
from grainscout.benchmarks.tasks.task import MicroscopeSpec, Task
from grainscout.benchmarks.tasks.truth import TaskTruth, film_truth, recording_truth
from grainscout.experiment import make_problem
from grainscout.hardware import Guard, Limits, Microscope, make_microscope, microscope_names
from grainscout.records import ConfigError, DataError, Problem, Scan, spawn_streams
from grainscout.records.arrays import FloatArray

if TYPE_CHECKING:
    from grainscout.simulator import Film


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """A task's microscope behind its limits, and the film or recording under the tip, if known.

    seed : what it was made from.
    """

    task: Task
    seed: int
    microscope: Guard
    film: Film | None = None
    recording: Recording | None = None

    def problem(self) -> Problem:
        """Set the light, scan, and say what a policy may know; ConfigError if settings do not fit."""
        waveform = self.task.waveform.build() or self.microscope.capabilities.waveform
        if waveform is None:
            raise ConfigError(
                'waveform kind must not be "recorded" on a microscope that can apply any waveform'
            )
        problem = make_problem(
            self.microscope,
            waveform,
            self.task.budget(),
            target=self.task.target,
            light=self.task.light_suns,
            window=self.task.window_px,
            frame=self.microscope.limits.frame_m,
        )
        return _on_boundaries(problem) if self.task.sites == "boundaries" else problem

    def truth(self, problem: Problem) -> TaskTruth:
        """What there is to find; ConfigError on a real microscope, where nobody knows."""
        if self.film is not None:
            return film_truth(self.film, problem, self.task.microscope.temperature_K)
        if self.recording is not None:
            truth = recording_truth(self.recording, problem)
            if self.task.microscope.kind == "ising":
                return ising_truth(self.seed, truth, problem)
            return truth
        raise ConfigError(
            f"task {self.task.id!r} must be on a film or a recording to be scored; its microscope is "
            f"{self.task.microscope.kind!r}"
        )


def set_up(task: Task, seed: int, limits: Limits | None = None, scan: Scan | None = None) -> Bench:
    """The microscope of a task, made from `seed` (the same film for every policy); nothing moves yet.

    scan : the image that sites refer to, when one was taken before (a resumed run).
    Raises ConfigError for unknown names, DataError for unusable files.
    """
    spec = task.microscope
    film = recording = None
    microscope: Microscope
    if spec.kind in ("simulated", "topography"):
        from grainscout.hardware import SimulatedMicroscope
        from grainscout.simulator.instrument import instrument_spec

        film = _film(spec, seed)
        instrument = replace(instrument_spec(spec.instrument), temperature_K=spec.temperature_K)
        microscope = SimulatedMicroscope(film, instrument, seed=spawn_streams(seed).instrument)
    elif spec.kind == "replay":
        from grainscout.hardware import ReplayMicroscope

        recording = _recording(spec)
        microscope = ReplayMicroscope(recording)
    elif spec.kind == "ising":
        from grainscout.hardware import ReplayMicroscope

        recording = ising_recording(seed, spec.options)
        microscope = ReplayMicroscope(recording)
    elif spec.kind in microscope_names():
        microscope = make_microscope(spec.kind, spec.options)
    else:
        known = ["topography", "ising", *microscope_names()]
        raise ConfigError(f"microscope kind must be one of {', '.join(known)}; got {spec.kind!r}")
    guard = Guard(microscope, limits, scan=scan)
    return Bench(task=task, seed=seed, microscope=guard, film=film, recording=recording)


def _on_boundaries(problem: Problem) -> Problem:
    """The problem with the sites on grain boundaries only, as its image shows them to anyone."""
    from grainscout.microstructure.features import microstructure

    rows, columns = problem.candidates.T
    on = microstructure(problem.scan).boundary[rows, columns] == 0
    if not on.any():
        raise ConfigError(
            'task sites = "boundaries" needs an image that shows grain boundaries; this one shows none'
        )
    return replace(problem, candidates=problem.candidates[on])


def _film(spec: MicroscopeSpec, seed: int) -> Film:
    from grainscout.simulator import PRESETS

    if spec.film_file is None and spec.film not in PRESETS:
        raise ConfigError(f"microscope film must be one of {', '.join(PRESETS)}; got {spec.film!r}")
    if spec.kind == "simulated":
        return (
            _made_film(spec.film, seed) if spec.film_file is None else _stored_film(spec.film_file)
        )
    return film_on_image(
        spec.film,
        spec.file or Path(),
        spec.channel,
        spec.pixel_nm,
        spec.crop_px,
        spec.grain_contrast,
        seed,
    )


# Policies of one campaign meet on the same film: a worker makes it once.
@lru_cache(maxsize=4)
def _made_film(preset: str, seed: int) -> Film:
    from grainscout.simulator import PRESETS, Film

    return Film.generate(PRESETS[preset], spawn_streams(seed).film)


@lru_cache(maxsize=4)
def _stored_film(file: Path) -> Film:
    from grainscout.simulator import Film

    return Film.load(file)


@lru_cache(maxsize=4)
def film_on_image(
    preset: str,
    file: Path,
    channel: str | None,
    pixel_nm: float | None,
    crop: tuple[int, int, int, int] | None,
    grain_contrast: float | None,
    seed: int,
) -> Film:
    """The preset's transport on the grains that are found in an image; see `MicroscopeSpec`."""
    from grainscout.simulator import PRESETS, Film

    image, pixel_size = height_image(file, channel, pixel_nm, crop)
    spec = PRESETS[preset]
    if grain_contrast is not None:
        spec = replace(spec, segmentation=replace(spec.segmentation, contrast=grain_contrast))
    return Film.from_topography(image, pixel_size, spec=spec, seed=spawn_streams(seed).film)


def height_image(
    file: Path,
    channel: str | None = None,
    pixel_nm: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> tuple[FloatArray, tuple[float, float]]:
    """A height image [m] and its pixel size [m] from a file, cropped to [row, column, rows, columns].

    Without `channel` it is the one named "height", else the only one whose name says so.
    Raises DataError if there is no such channel or the crop leaves the image.
    """
    scan = _read(file)
    if isinstance(scan, Recording):
        scan = scan.scan
    if channel is None:
        found = [n for n in scan.channels if "height" in n.lower()]
        channel = "height" if "height" in scan.channels else found[0] if found else "height"
    image = scan.channel(channel)
    if crop is not None:
        row, column, rows, columns = crop
        inside = min(row, column) >= 0 and min(rows, columns) >= 1
        if not inside or row + rows > image.shape[0] or column + columns > image.shape[1]:
            raise DataError(
                f"crop_px [row, column, rows, columns] must lie in the image of {image.shape[0]} x "
                f"{image.shape[1]} pixels; got {list(crop)}"
            )
        image = image[row : row + rows, column : column + columns]
    if pixel_nm is not None:
        return image, (pixel_nm * 1e-9, pixel_nm * 1e-9)
    return image, scan.pixel_size


def _recording(spec: MicroscopeSpec) -> Recording:
    found = _read(spec.file or Path())
    if not isinstance(found, Recording):
        raise DataError(
            f"{spec.file} must hold a grid of curves to be replayed; it holds an image. "
            'Use it as kind = "topography"'
        )
    return found


@lru_cache(maxsize=4)
def _read(file: Path) -> Scan | Recording:
    return read(file)
