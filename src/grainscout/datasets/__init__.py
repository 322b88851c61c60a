"""Small data of the simulator that come with the package: no network, a second to load.

`benchmarks/studies/datasets.py` makes the files.
"""

from importlib.resources import files
from pathlib import Path

from grainscout.analysis.formats import read
from grainscout.records import Recording, spawn_streams
from grainscout.simulator import PRESETS, Film

__all__ = ["campaign_folder", "film", "grid", "grid_file"]

_SEED = 5


def film() -> Film:
    """The film ``tiny`` of 48 x 48 pixels, on which the grid was recorded."""
    return Film.generate(PRESETS["tiny"], spawn_streams(_SEED).film)


def grid_file() -> Path:
    """The file of the recorded grid, for ``--replay`` and the like."""
    return _place("grid.h5")


def grid() -> Recording:
    """Curves of every second pixel of the film, at 0.1 sun, with the noise of the reference instrument."""
    data = read(grid_file())
    assert isinstance(data, Recording)  # noqa: S101 - our own file
    return data


def campaign_folder() -> Path:
    """The folder of a finished campaign ``smoke``: give it to `load`, or to ``grainscout report``."""
    return _place("campaign")


def _place(name: str) -> Path:
    return Path(str(files(__name__) / "files" / name))
