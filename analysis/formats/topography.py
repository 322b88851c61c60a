"""Which image of a file is the topography, by its name and unit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grainscout.records import FloatArray

_NOT_HEIGHT = re.compile(
    r"err|defl|ampl|phase|mask|adhes|deform|indent|friction|lateral|presence|thermal"
)
_NAMES = (
    re.compile(r"(height|topo|topography|z|höhe|hoehe|hauteur|altura)\b|(height|topo)"),
    re.compile(r"height|topo"),
    re.compile(r"z[\s_-]?(sensor|snsr|axis|piezo)|piezo"),
)
_BACK = re.compile(r"backward|bwd|retrace|right.to.left|\bback\b")
_PASS = re.compile(r"^\[p(\d+)\][_ ]?|^nap")


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """One image of a file."""

    name: str  #: As the file calls it
    values: FloatArray  #: In the SI unit; not finite where nothing was recorded, (rows, columns)
    unit: str = ""  #: SI unit, empty where the file says none
    #: Row step and column step [m]; None where the file says none
    pixel_size: tuple[float, float] | None
    origin: tuple[float, float] = (0.0, 0.0)  #: X and y of the centre of pixel (0, 0) [m]
    angle: float = 0.0  #: Rotation of the grid [rad]

    def fits(self, other: "Picture") -> bool:
        """Whether both are on one grid."""
        mine, its = self.pixel_size or (0.0, 0.0), other.pixel_size or (0.0, 0.0)
        step = max(*mine, 1e-300)
        return (
            self.values.shape == other.values.shape
            and np.allclose(mine, its, rtol=1e-4, atol=0)
            and np.allclose(self.origin, other.origin, rtol=0, atol=0.5 * step)
            and abs(self.angle - other.angle) < 1e-4
        )

    @property
    def label(self) -> str:
        """Name, unit and size in words."""
        rows, columns = self.values.shape
        return f"{self.name} [{self.unit or 'no unit'}] {rows} x {columns}"


def channel_names(names: Sequence[str], units: Sequence[str], *, height: bool) -> list[str]:
    """Names for channels: the first is "height" if asked for, the first current "current"."""
    plain = [_PASS.sub("", name.lower()) for name in names]
    currents = [i for i, p in enumerate(plain) if p.startswith("current") and units[i] in ("A", "")]
    currents.sort(key=lambda i: bool(_BACK.search(plain[i])))  # forward before backward
    taken: list[str] = []
    for i, name in enumerate(names):
        short = name
        if i == 0 and height:
            short = "height"
        elif height and name == f"{names[0]} backward":
            short = "height backward"
        elif name.lower() == "current backward":
            short = "current backward"
        elif currents and i == currents[0] and not plain[i].endswith(" backward"):
            short = "current"
        elif name == "height":
            short = "height as named"
        number = 2
        while short in taken:
            short = f"{name} {number}"
            number += 1
        taken.append(short)
    return taken


def named(pictures: Sequence[Picture], name: str) -> Picture | None:
    """The picture of that name, without regard to case or spaces where that is unambiguous."""
    exact = [p for p in pictures if p.name == name]
    if exact:
        return exact[0]
    plain = re.sub(r"[\s_]+", "", name).lower()
    alike = [p for p in pictures if re.sub(r"[\s_]+", "", p.name).lower() == plain]
    if not alike:
        alike = [p for p in pictures if plain in re.sub(r"[\s_]+", "", p.name).lower()]
        return alike[0] if len(alike) == 1 else None
    return alike[0]


def topography(pictures: Sequence[Picture]) -> Picture | None:
    """The picture in metres whose name says most clearly that it is the height, if one does."""
    ranked = [(rank, p) for p in pictures if (rank := height_rank(p.name, p.unit)) is not None]
    if not ranked:
        return None
    best = min(rank for rank, _ in ranked)
    first = [p for rank, p in ranked if rank == best]
    first.sort(key=lambda p: -p.values.size)  # a crop stands beside the image that it is of
    # A name that says nothing is enough for the only picture in metres.
    return None if int(best) == len(_NAMES) and len(first) > 1 else first[0]


def height_rank(name: str, unit: str) -> float | None:
    """How clearly a channel is the topography, 0 the most; None if it is not."""
    low = name.lower().strip()
    if unit not in ("m", "") or _NOT_HEIGHT.search(low):
        return None
    number = _PASS.match(low)
    low = _PASS.sub("", low)
    later = 0.0 if number is None else 0.6 if number[1] is None else 0.01 * int(number[1])
    later += 0.5 if _BACK.search(low) else 0.0
    for rank, words in enumerate(_NAMES):
        if words.match(low) if rank == 0 else words.search(low):
            return rank + later if unit or rank < 2 else None
    return len(_NAMES) + later if unit else None
