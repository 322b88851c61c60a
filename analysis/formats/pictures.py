"""Pictures of a file as one scan: its topography, its pixel grid, and what it lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from grainscout.analysis.formats.files import MOST_PIXELS
from grainscout.analysis.formats.options import Asked
from grainscout.analysis.formats.topography import Picture as Picture
from grainscout.analysis.formats.topography import channel_names, named, topography
from grainscout.analysis.formats.units import si
from grainscout.records import BoolArray, ConfigError, DataError, FloatArray, IntArray, Scan, Site

#: Share of a picture that may be filled from its neighbours.
_MOST_FILLED = 0.05
#: Heights [m] beyond which numbers without a unit are not taken for metres.
_TALLEST = 1e-4


def frame(
    asked: Asked,
    name: str,
    data: bytes,
    at: int,
    kind: str,
    shape: tuple[int, int],
    *,
    upwards: bool = False,
) -> FloatArray:
    """Numbers of a picture from a byte on, top line first; NaN where the file has ended."""
    (rows, columns), dtype = shape, np.dtype(kind)
    if min(shape) < 1 or rows * columns > MOST_PIXELS or at < 0:
        raise asked.fault(
            f"have 1 to {MOST_PIXELS} pixels of {name}", f"{rows} x {columns} at byte {at}"
        )
    there = max(min((len(data) - at) // (columns * dtype.itemsize), rows), 0)
    image = np.full(shape, np.nan)
    lines = np.frombuffer(data, dtype, there * columns, at if there else 0)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        image[:there] = lines.reshape(there, columns)
    if there < rows:
        cut_off(asked, name, there, shape, upwards=upwards)
    return image[::-1] if upwards else image


def cut_off(
    asked: Asked, name: str, there: int, shape: tuple[int, int], *, upwards: bool = False
) -> None:
    """Keep that a file holds only the first lines of a picture."""
    rows, columns = shape
    crop = [rows - there if upwards else 0, 0, there, columns]
    asked.cut[name] = (f"{there} of {rows} lines of {name}", crop if there else None)


def _refuse_cut(asked: Asked, pictures: Sequence[Picture]) -> None:
    """DataError for a file that ends too early, unless a part of it is asked for."""
    if not asked.cut or asked.take("crop_px") is not None:
        return
    whole = [p.name for p in pictures if p.name not in asked.cut]
    parts = [crop for _, crop in asked.cut.values() if crop]
    usable = f"Whole are {', '.join(whole)}" if whole else "No picture is whole"
    shape = list(pictures[0].values.shape)
    crop = [0, 0, *shape] if whole else max(parts, key=lambda c: c[2]) if parts else None
    raise asked.fault(
        "hold all lines of its pictures",
        "; ".join(text for text, _ in asked.cut.values()),
        f"It is truncated. {usable}" + (f"; crop_px = {crop} reads them" if crop else ""),
    )


def scan_of(
    asked: Asked, pictures: Sequence[Picture], metadata: Mapping[str, Any] | None = None
) -> Scan:
    """The pictures on the topography's grid as one scan; what is left out or filled is noted."""
    _refuse_cut(asked, pictures)
    pixel_nm = asked.take("pixel_nm")
    if pixel_nm is not None:
        step = (pixel_nm * 1e-9, pixel_nm * 1e-9)
        pictures = [replace(p, pixel_size=step) for p in pictures]
    pictures = list(pictures)
    chosen, height = _main(asked, pictures)
    main = pictures[chosen]
    if main.pixel_size is None:
        raise asked.fault(
            f"say the width and height of {main.name} in m",
            "none",
            "Give the size of a pixel in nm: pixel_nm",
        )
    if min(main.pixel_size) <= 0 or not np.isfinite(main.pixel_size).all():
        raise asked.fault("have a positive, finite pixel_size", f"{main.pixel_size} m")
    same = [main, *(p for p in pictures if p is not main and p.fits(main))]
    others = [p.label for p in pictures if not p.fits(main) and p is not main]
    if others:
        asked.note(f"on another grid than {main.name} and left out: {', '.join(others)}")
    names = channel_names([p.name for p in same], [p.unit for p in same], height=height)
    order = {id(p): i for i, p in enumerate(pictures)}
    same_names = sorted(zip(same, names, strict=True), key=lambda pair: order[id(pair[0])])
    if not height:  # what policies look at comes first
        same_names.sort(key=lambda pair: pair[0] is not main)
    origin, images, extra = _whole(asked, [p for p, _ in same_names], main)
    kept = {name: i for (_, name), i in zip(same_names, images, strict=True) if i is not None}
    filled = {name: extra["filled"][p.name] for p, name in same_names if p.name in extra["filled"]}
    return Scan(
        channels=kept,
        units={name: p.unit for p, name in same_names if p.unit and name in kept},
        pixel_size=main.pixel_size,
        origin=origin,
        angle=main.angle,
        metadata={
            **(metadata or {}),
            "channel_names": {name: p.name for p, name in same_names},
            **({"filled": filled} if filled else {}),
            "unrecorded": extra["unrecorded"],
            "part": extra["part"],
            **({"other_grids": others} if others else {}),
            **({"notes": list(asked.notes)} if asked.notes else {}),
        },
    )


def _main(asked: Asked, pictures: list[Picture]) -> tuple[int, bool]:
    """Index of the topography and True, or of the first picture and False where there is none."""
    name = asked.take("channel")
    best = topography(pictures)
    if name == "height" and named(pictures, name) is None:
        found = best
    else:
        found = best if name is None else named(pictures, name)
    if found is None and name is not None:
        raise DataError(
            f"{asked.path}: channel must be one of {'; '.join(p.label for p in pictures)}; got "
            f"{name!r}"
        )
    if found is None:
        return 0, False
    at = next(i for i, p in enumerate(pictures) if p is found)
    if not found.unit:
        pictures[at] = _in_metres(asked, found, explicit=name is not None)
    return at, pictures[at].unit == "m"


def _in_metres(asked: Asked, chosen: Picture, *, explicit: bool) -> Picture:
    """A picture without a unit: in the unit that was said, or in metres if that is possible."""
    unit = asked.take("height_unit")
    if unit is not None:
        factor, base = si(unit)
        if base != "m":
            raise ConfigError(f"height_unit must be a length such as nm; got {unit!r}")
        return replace(chosen, values=chosen.values * factor, unit="m")
    known = chosen.values[np.isfinite(chosen.values)]
    spread = float(np.ptp(known)) if known.size else 0.0
    if spread <= _TALLEST:
        asked.note(f"{chosen.name} has no unit: taken in metres ({spread * 1e9:.4g} nm high)")
        return replace(chosen, unit="m")
    if asked.take("pixel_nm") is not None:
        asked.note(
            f"{chosen.name} has no unit: taken in nm, as pixel_nm is given ({spread:.4g} nm high); "
            "height_unit says another"
        )
        return replace(chosen, values=chosen.values * 1e-9, unit="m")
    if explicit:
        return chosen
    raise asked.fault(
        f"say the unit of {chosen.name}",
        f"none, and values over {spread:.4g}",
        "Give it: height_unit, such as nm",
    )


def _whole(
    asked: Asked, pictures: Sequence[Picture], main: Picture
) -> tuple[tuple[float, float], list[FloatArray | None], dict[str, Any]]:
    """Origin and images without lines that hold nothing, with single lost pixels filled."""
    crop = asked.take("crop_px")
    first, rows, column, columns = 0, main.values.shape[0], 0, main.values.shape[1]
    if crop is not None:
        first, column, rows, columns = checked_crop(crop, main.values.shape)
    part = main.values[first : first + rows, column : column + columns]
    begin, end = _recorded_lines(part)
    if end == begin:
        raise asked.fault(f"hold a complete line of {main.name}", "none", "")
    lost = rows - (end - begin)
    if lost:
        asked.note(
            f"{lost} of {rows} lines of {main.name} hold nothing (no value, or one constant): only "
            f"lines {first + begin} to {first + end - 1} are used"
        )
    box = (slice(first + begin, first + end), slice(column, column + columns))
    images: list[FloatArray | None] = []
    filled: dict[str, IntArray] = {}
    for picture in pictures:
        image, holes = fill(picture.values[box])
        if image is None:
            text = f"{int(holes.sum())} of {holes.size} pixels of {picture.name} hold no value"
            if picture is main:
                raise asked.fault(
                    f"hold a {picture.name} with at most {_MOST_FILLED:.0%} of its pixels lost",
                    text,
                    "Use a part of the picture: crop_px = [row, column, rows, columns]",
                )
            asked.note(f"{text}: it is left out")
        elif holes.any():
            filled[picture.name] = _noted(asked, picture.name, holes)
        images.append(image)
    step = main.pixel_size or (1.0, 1.0)
    u, v = column * step[1], (first + begin) * step[0]
    cos, sin = np.cos(main.angle), np.sin(main.angle)
    origin = (float(main.origin[0] + cos * u - sin * v), float(main.origin[1] + sin * u + cos * v))
    used = [first + begin, column, end - begin, columns, *main.values.shape]
    return origin, images, {"filled": filled, "unrecorded": lost, "part": used}


def _noted(asked: Asked, name: str, holes: BoolArray) -> IntArray:
    """Rows and columns of filled pixels."""
    asked.note(
        f"{int(holes.sum())} of {holes.size} pixels of {name} held no value: filled from their neighbours"
    )
    return np.argwhere(holes)


def cropped(scan: Scan, crop: Sequence[int]) -> Scan:
    """The part [row, column, rows, columns] of a scan, at its place."""
    row, column, rows, columns = checked_crop(crop, scan.shape)
    x, y = scan.position(Site(row, column))
    return replace(
        scan,
        channels={
            name: image[row : row + rows, column : column + columns]
            for name, image in scan.channels.items()
        },
        origin=(x, y),
    )


def checked_crop(crop: Sequence[int], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The crop [row, column, rows, columns]; DataError if it leaves the picture."""
    row, column, rows, columns = (int(v) for v in crop)
    inside = min(row, column) >= 0 and min(rows, columns) >= 1
    if not inside or row + rows > shape[0] or column + columns > shape[1]:
        raise DataError(
            f"crop_px [row, column, rows, columns] must lie in the image of {shape[0]} x {shape[1]} "
            f"pixels; got {list(crop)}"
        )
    return row, column, rows, columns


def _recorded_lines(image: FloatArray) -> tuple[int, int]:
    """First line with data, and the one after the last. Stopped scans end with NaN or one constant."""
    bad = ~np.isfinite(image)
    full = np.flatnonzero(bad.mean(axis=1) <= 0.5)
    if full.size == 0:
        return 0, 0
    begin, end = int(full[0]), int(full[-1]) + 1
    with np.errstate(invalid="ignore"):
        flat = np.asarray((image == image[:, :1]).all(axis=1))
    if image.shape[1] > 1 and not flat[full].all():
        last = _length((flat[begin:end] & (image[begin:end, 0] == image[end - 1, 0]))[::-1])
        end -= last if last >= 2 else 0
        first = _length(flat[begin:end] & (image[begin:end, 0] == image[begin, 0]))
        begin += first if first >= 2 else 0
    # The line at which a scan was stopped may be half full.
    while end > begin and end < len(image) and bad[end - 1].any():
        end -= 1
    while begin < end and begin > 0 and bad[begin].any():
        begin += 1
    return begin, end


def _length(same: BoolArray) -> int:
    """How many are True from the first one on."""
    return int(same.argmin()) if not same.all() else same.size


def fill(image: FloatArray, most: float = _MOST_FILLED) -> tuple[FloatArray | None, BoolArray]:
    """The image with lost pixels filled by neighbours (None if over `most` are lost), and where."""
    holes = ~np.isfinite(image)
    if not holes.any():
        return image, holes
    if holes.all() or holes.mean() > most:
        return None, holes
    values = np.where(holes, 0.0, image)
    weight = (~holes).astype(np.float64)
    whole = values.copy()
    left, size = holes.copy(), 3
    while left.any():
        share = ndimage.uniform_filter(weight, size, mode="constant")
        total = ndimage.uniform_filter(values, size, mode="constant")
        ready = left & (share > 1e-9)
        whole[ready] = total[ready] / share[ready]
        left &= ~ready
        size += 2
    return whole, holes


def grid_scan(
    asked: Asked,
    images: Mapping[str, tuple[FloatArray, str]],
    *,
    pixel_size: tuple[float, float],
    origin: tuple[float, float] = (0.0, 0.0),
    angle: float = 0.0,
    metadata: Mapping[str, Any] | None = None,
) -> Scan:
    """The scan under a grid of curves: no pixel is cut away, lost ones are filled and noted."""
    kept: dict[str, FloatArray] = {}
    filled: dict[str, IntArray] = {}
    for name, (values, _) in images.items():
        image, holes = fill(values, most=1.0)
        if image is None:
            asked.note(f"{name} holds no value at all: it is left out")
            continue
        kept[name] = image
        if holes.any():
            filled[name] = _noted(asked, name, holes)
    if not kept:
        shape = next(iter(images.values()))[0].shape
        kept["recorded"] = np.ones(shape)
    return Scan(
        channels=kept,
        units={n: u for n, (_, u) in images.items() if u and n in kept},
        pixel_size=pixel_size,
        origin=origin,
        angle=angle,
        metadata={
            **(metadata or {}),
            **({"filled": filled} if filled else {}),
            **({"notes": list(asked.notes)} if asked.notes else {}),
        },
    )


def chosen_again(asked: Asked, scan: Scan) -> Scan:
    """Our own export, unchanged unless an option asks for another channel, size or part."""
    if not any(asked.take(name) is not None for name in ("channel", "pixel_nm", "crop_px")):
        return scan
    pictures = [
        Picture(
            name=name,
            values=image,
            unit=scan.units.get(name, ""),
            pixel_size=scan.pixel_size,
            origin=scan.origin,
            angle=scan.angle,
        )
        for name, image in scan.channels.items()
    ]
    return scan_of(asked, pictures, scan.metadata)
