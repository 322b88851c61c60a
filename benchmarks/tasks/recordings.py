"""Tasks on every recorded grid of curves that lies in a folder."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grainscout.analysis.curves.descriptors import describe
from grainscout.analysis.formats import Recording, read
from grainscout.benchmarks.tasks.task import Task, replay_task
from grainscout.records import ConfigError, GrainscoutError

#: Names that the folder of recordings may have where GRAINSCOUT_DATA does not say it.
_FOLDERS = ("shared/data", "../shared/data", "data")
_SUFFIXES = {
    *(".3ds", ".dat", ".ibw", ".h5", ".hdf5", ".nxs", ".gwy", ".csv", ".txt"),
    *(".sm4", ".tif", ".tiff", ".cur"),
}
#: Fewest curves with a value that policies can be compared on.
_FEWEST = 30


@dataclass(frozen=True, kw_only=True)
class RecordedTasks:
    """Tasks made of a folder's files, and why the other files gave none."""

    tasks: tuple[Task, ...]
    left_out: dict[str, str]


def recordings_folder(folder: str = "") -> Path:
    """The folder as given, else GRAINSCOUT_DATA, else a usual place. ConfigError if there is none."""
    given = folder or os.environ.get("GRAINSCOUT_DATA", "")
    places = [Path(given)] if given else [Path(name) for name in _FOLDERS]
    for place in places:
        if place.is_dir():
            return place
    raise ConfigError(
        f"recordings must lie in a folder; there is none at {', '.join(map(str, places))}. Name it with "
        "GRAINSCOUT_DATA, or folder in [recordings]"
    )


def recorded_tasks(folder: Path, targets: Sequence[str], curves: int) -> RecordedTasks:
    """Task of each recording and target with enough values; `curves` is at most half of a recording."""
    tasks: list[Task] = []
    left_out: dict[str, str] = {}
    for file in sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES):
        name = str(file.relative_to(folder))
        try:
            data = read(file)
        except GrainscoutError as error:
            left_out[name] = str(error).removeprefix(f"{file}: ")
            continue
        if not isinstance(data, Recording):
            left_out[name] = "images without curves"
        elif len(data) < _FEWEST:
            left_out[name] = f"{len(data)} curves; a race needs {_FEWEST}"
        else:
            made = list(_tasks(file, data, targets, curves))
            tasks += made
            if not made:
                left_out[name] = f"none of {', '.join(targets)} has values on {_FEWEST} curves"
    return RecordedTasks(tasks=tuple(tasks), left_out=left_out)


def _tasks(file: Path, data: Recording, targets: Sequence[str], curves: int) -> Iterator[Task]:
    for target in targets:
        values = describe(target, data.waveform.voltage, data.current, data.saturated)
        known = values.value[values.valid & ~values.censored]
        if known.size >= _FEWEST and np.ptp(known) > 0:
            yield replay_task(file, target, min(curves, len(data) // 2))
