"""A microscope that a person, or a vendor's own program, works: points go out, curves come in."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from grainscout.analysis.formats import read, read_image, read_traces
from grainscout.hardware.adapters.shared import RealMicroscope, known_channels
from grainscout.hardware.protocol import Capabilities
from grainscout.records import (
    ConfigError,
    CostModel,
    DataError,
    IVCurve,
    MicroscopeError,
    Recording,
    Scan,
    Site,
    Waveform,
)
from grainscout.records.arrays import FloatArray

_OFF = 0.05  # of the peak, by which a file's voltages may differ from the waveform's


class Point(NamedTuple):
    """A point that is to be measured, with its place on the image."""

    number: int
    site: Site
    x_m: float
    y_m: float


class Exchange(Protocol):
    """How points reach a person, and curves come back. `used` is the largest number of before."""

    used: int

    def show(self, points: Sequence[Point], image: Scan, note: str) -> None:
        """Show the points that come next, in order, and what to do there."""

    def curve(self, point: Point) -> Path:
        """Wait for the file of a point. MicroscopeError if there will be none."""

    def park(self) -> None:
        """Ask for 0 V and a withdrawn tip."""

    def close(self) -> None:
        """Stop asking."""


class ByHandMicroscope(RealMicroscope):
    """An image from a file, and curves from the files that a person brings.

    Parameters
    ----------
    exchange : Exchange
        Shows points and waits for files.
    image : str
        File of the image, in any format that is read. Its pixels are the sites.
    channel : str, optional
        Height channel of the image.
    voltage, current : str, optional
        Columns of a curve's file [V], [A]. Without them, the only ones of these units.
    rail_A : float, optional
        Full scale of the current amplifier [A]. Without it, rails are found.
    seconds : float
        Expected time of a measurement by hand [s].
    """

    #: A person goes to whole pixels of the image.
    unsupported = frozenset(("displace",))

    def __init__(
        self,
        exchange: Exchange,
        *,
        image: str,
        channel: str | None = None,
        voltage: str | None = None,
        current: str | None = None,
        rail_A: float | None = None,
        seconds: float = 60.0,
    ) -> None:
        super().__init__()
        self._exchange, self._file, self._channel = exchange, Path(image), channel
        self._columns, self._rail, self._seconds = (voltage, current), rail_A, seconds
        self._image = self._read()
        self._next: list[Site] = []
        self._number, self._suns = exchange.used, 0.0

    @property
    def capabilities(self) -> Capabilities:
        """The image's channels, any waveform, and light that the person sets."""
        return Capabilities(channels=tuple(self._image.channels), light=True, rail_A=self._rail)

    @property
    def cost(self) -> CostModel:
        """A measurement's time by hand."""
        return CostModel(overhead=self._seconds, settle=0.0)

    def scan(self, channels: Sequence[str] = ("height",)) -> Scan:
        """Read the image anew. DataError for an unknown channel."""
        known_channels(channels, tuple(self._image.channels))
        self._image = self._read()
        self._frame = replace(self._image, channels={c: self._image.channel(c) for c in channels})
        return self._frame

    def plan(self, sites: Sequence[Site]) -> None:
        """Take the sites that come next, in order, so that they are shown at once."""
        self._next = list(sites)

    def light(self, suns: float) -> None:
        """Note the illumination [suns] that the person shall set."""
        self._suns = suns

    def measure(self, site: Site, waveform: Waveform) -> IVCurve:
        """Show the point and wait for its curve. MicroscopeError for a file of another sweep."""
        ahead = self._next[self._next.index(site) :] if site in self._next else [site]
        points = []
        for number, at in enumerate(ahead, self._number + 1):
            _, (x, y) = self._place(at)
            points.append(Point(number, at, x, y))
        note = (
            f"{waveform.kind}, {len(waveform)} samples, {waveform.voltage.min():g} to "
            f"{waveform.voltage.max():g} V in {waveform.duration:g} s, light {self._suns:g} suns"
        )
        self._exchange.show(points, self._image, note)
        self._number += 1
        file = self._exchange.curve(points[0])
        try:
            return on_waveform(self._curve(file), waveform, str(file))
        except DataError as error:
            raise MicroscopeError(str(error)) from error

    def park(self) -> None:
        """Ask for 0 V and a withdrawn tip."""
        self._exchange.park()

    def close(self) -> None:
        """Stop asking."""
        self._exchange.close()

    def _read(self) -> Scan:
        return (
            read_image(self._file, channel=self._channel)
            if self._channel
            else read_image(self._file)
        )

    def _curve(self, file: Path) -> IVCurve:
        try:
            traces = read_traces(file)
        except DataError:
            recording = read(file)
            if not isinstance(recording, Recording) or len(recording) != 1:
                raise
            return recording.curve(Site(*map(int, recording.sites[0])))
        names = []
        for given, unit in zip(self._columns, "VA", strict=True):
            fits = [given] if given else [n for n, u in traces.units.items() if u == unit]
            if len(fits) != 1:
                raise DataError(
                    f"{file}: must have one column in {unit}; got {', '.join(fits) or 'none'}. Name it "
                    "with the options voltage and current"
                )
            names.append(fits[0])
        return traces.curve(*names, rail=self._rail)


def on_waveform(curve: IVCurve, waveform: Waveform, source: str) -> IVCurve:
    """The curve at the waveform's samples, by the way of the voltage along the sweep.

    DataError if the voltages are another sweep's.
    """
    own, wanted = _way(curve.voltage, source), _way(waveform.voltage, source)
    volts = np.interp(wanted, own, curve.voltage)
    off = float(np.abs(volts - waveform.voltage).max())
    if not off <= _OFF * waveform.peak:
        raise DataError(
            f"{source}: must be a curve of this sweep, {waveform.voltage.min():g} to "
            f"{waveform.voltage.max():g} V; its voltages are up to {off:.3g} V off"
        )
    saturated = np.interp(wanted, own, curve.saturated.astype(np.float64)) > 0
    current = np.interp(wanted, own, curve.current)
    time_s = waveform.time - waveform.time[0]
    return IVCurve(voltage=waveform.voltage, current=current, time=time_s, saturated=saturated)


def _way(voltage: FloatArray, source: str) -> FloatArray:
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(voltage)))])
    if not way[-1] > 0:
        raise DataError(f"{source}: must be a sweep; its voltage does not change")
    return np.asarray(way / way[-1])


class Folder:
    """Points in ``next.csv`` and ``next.png`` of a folder, curves in its ``curves``.

    Parameters
    ----------
    folder : Path
        Folder that both sides can write.
    naming : str
        ``"number"``: the last number in a file's name is the point's. ``"order"``: new files belong
        to the points in the order in which they appear.
    timeout_s : float
        Longest wait for a curve [s].
    """

    def __init__(self, folder: Path, *, naming: str, timeout_s: float) -> None:
        if naming not in ("number", "order"):
            raise ConfigError(f'naming must be "number" or "order"; got {naming!r}')
        self._folder, self._naming, self._timeout = folder, naming, timeout_s
        self._curves = folder / "curves"
        self._curves.mkdir(parents=True, exist_ok=True)
        self._taken = set(self._curves.iterdir())  # of an earlier run
        self.used = max((_number(p) or 0 for p in self._taken), default=0)

    def show(self, points: Sequence[Point], image: Scan, note: str) -> None:
        """Write the picture, then the list."""
        lines = [f"{p.number},{p.site.row},{p.site.column},{p.x_m:.6e},{p.y_m:.6e}" for p in points]
        text = f"# {note}\nnumber,row,column,x_m,y_m\n" + "\n".join(lines) + "\n"
        save_picture(self._folder / "next.png", points, image)
        self._write(text)

    def curve(self, point: Point) -> Path:
        """Wait for a file that no longer grows."""
        end = time.monotonic() + self._timeout
        while time.monotonic() < end:
            for path in self._new(point):
                size = path.stat().st_size
                time.sleep(0.2)
                if size and path.stat().st_size == size:
                    self._taken.add(path)
                    return path
            time.sleep(0.2)
        raise MicroscopeError(
            f"the curve of point {point.number} must be in {self._curves} within {self._timeout:g} s; "
            "there is none"
        )

    def park(self) -> None:
        """Say it in the list's place."""
        self._write(
            "# Set the bias to 0 V and withdraw the tip. There is no point to measure now.\n"
        )

    def close(self) -> None:
        """Nothing is open."""

    def _new(self, point: Point) -> list[Path]:
        new = [p for p in self._curves.iterdir() if p not in self._taken and p.is_file()]
        if self._naming == "order":
            return sorted(new, key=lambda p: (p.stat().st_mtime_ns, p.name))[:1]
        return [p for p in new if _number(p) == point.number]

    def _write(self, text: str) -> None:
        beside = self._folder / "next.csv.part"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._folder / "next.csv")


def _number(path: Path) -> int | None:
    """The last number in a file's name."""
    found = re.findall(r"\d+", path.stem)
    return int(found[-1]) if found else None


def save_picture(path: Path | BytesIO, points: Sequence[Point], image: Scan) -> None:
    """Draw the points with their numbers on the image."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(image.image, cmap="gray")
    for point in points:
        axes.plot(point.site.column, point.site.row, "o", mfc="none", mec="red", ms=12, mew=2)
        axes.annotate(
            str(point.number),
            (point.site.column, point.site.row),
            (8, 8),
            color="red",
            textcoords="offset points",
            fontsize=14,
        )
    axes.set(xlabel="column [pixel]", ylabel="row [pixel]")
    figure.savefig(path, dpi=110, format="png")


def open_batch(
    *,
    folder: str,
    image: str,
    naming: str = "number",
    timeout_s: float = 86_400.0,
    channel: str | None = None,
    voltage: str | None = None,
    current: str | None = None,
    rail_A: float | None = None,
    seconds: float = 60.0,
) -> ByHandMicroscope:
    """Write the next points to a folder and wait for the curves there. See `Folder`."""
    exchange = Folder(Path(folder), naming=naming, timeout_s=timeout_s)
    return ByHandMicroscope(
        exchange,
        image=image,
        channel=channel,
        voltage=voltage,
        current=current,
        rail_A=rail_A,
        seconds=seconds,
    )
