"""A microscope that a person, or a vendor's own program, works: points go out, curves come in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from grainscout.analysis.formats import read, read_image, read_traces
from grainscout.hardware.adapters.shared import RealMicroscope, known_channels
from grainscout.hardware.protocol import Capabilities
from grainscout.records.arrays import FloatArray
from grainscout.records.curve import IVCurve
from grainscout.records.errors import DataError, MicroscopeError
from grainscout.records.problem import CostModel
from grainscout.records.recording import Recording
from grainscout.records.scan import Scan, Site
from grainscout.records.waveform import Waveform

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


@dataclass(frozen=True, kw_only=True)
class ByHandOptions:
    """Options of microscopes that a person works."""

    image: str  #: File of the image, in any format that is read. Its pixels are the sites
    channel: str | None = None  #: Height channel of the image
    #: Columns of a curve's file [V], [A]. Without them, the only ones of these units
    voltage: str | None = None
    current: str | None = None
    rail_A: float | None = None  #: Full scale of the amplifier [A]. Without it, rails are found
    seconds: float = 60.0  #: Expected time of a measurement by hand [s]
    timeout_s: float = 86_400.0  #: Longest wait for a curve [s]


class ByHandMicroscope(RealMicroscope):
    """An image from a file, and curves from the files that an `Exchange` brings."""

    #: A person goes to whole pixels of the image.
    unsupported = frozenset(("displace",))

    def __init__(self, exchange: Exchange, how: ByHandOptions) -> None:
        super().__init__()
        self._exchange, self._how = exchange, how
        self._image = self._read()
        self._next: list[Site] = []
        self._number, self._suns, self._trouble = exchange.used, 0.0, ""

    @property
    def capabilities(self) -> Capabilities:
        """The image's channels, any waveform, and light that the person sets."""
        return Capabilities(
            channels=tuple(self._image.channels), light=True, rail_A=self._how.rail_A
        )

    @property
    def cost(self) -> CostModel:
        """A measurement's time by hand."""
        return CostModel(overhead=self._how.seconds, settle=0.0)

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
            f"{self._trouble}{waveform.kind}, {len(waveform)} samples, {waveform.voltage.min():g} to "
            f"{waveform.voltage.max():g} V in {waveform.duration:g} s, light {self._suns:g} suns"
        )
        self._exchange.show(points, self._image, note)
        self._number, self._trouble = self._number + 1, ""
        file = self._exchange.curve(points[0])
        try:
            return on_waveform(self._curve(file), waveform, file.name)
        except DataError as error:
            self._trouble = f"The curve of point {points[0].number} was not taken: {error}. Now: "
            raise MicroscopeError(str(error)) from error

    def park(self) -> None:
        """Ask for 0 V and a withdrawn tip."""
        self._exchange.park()

    def close(self) -> None:
        """Stop asking."""
        self._exchange.close()

    def _read(self) -> Scan:
        given = {} if self._how.channel is None else {"channel": self._how.channel}
        return read_image(Path(self._how.image), **given)  # type: ignore[arg-type]

    def _curve(self, file: Path) -> IVCurve:
        try:
            traces = read_traces(file)
        except DataError:
            recording = read(file)
            if not isinstance(recording, Recording) or len(recording) != 1:
                raise
            return recording.curve(Site(*map(int, recording.sites[0])))
        names = []
        for given, unit in ((self._how.voltage, "V"), (self._how.current, "A")):
            fits = [given] if given else [n for n, u in traces.units.items() if u == unit]
            if len(fits) != 1:
                raise DataError(
                    f"{file}: must have one column in {unit}; got {', '.join(fits) or 'none'}. Name it "
                    "with the options voltage and current"
                )
            names.append(fits[0])
        return traces.curve(*names, rail=self._how.rail_A)


def on_waveform(curve: IVCurve, waveform: Waveform, source: str) -> IVCurve:
    """The curve at the waveform's samples, by the voltage's way. DataError for another sweep's."""
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
