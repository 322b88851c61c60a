"""A film: truth, image, and curves at every site.

Places of the truth:

    labels, boundaries, distances, asymmetry, vertices, tables     film.structure
    true surface, and as a tip sees it                             film.height, film.dilated(...)
    measured image, and the log of what made it                    film.scan(), film.imaged()
    archetype shares and the hard map                              film.archetype_weights, .archetype
    every parameter map                                            film.parameters
    hidden field, contact factor, compositions, offsets            film.truth
    noiseless map of any property, waveform, light, temperature    film.property_map(...)
    noiseless curves, also with the states' trajectories           film.curves, film.trajectories

What happens during a measurement (noise, faults, wear) belongs to the instrument.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grainscout.microstructure.from_image import (
    checked_extent,
    checked_image,
    checked_relief,
    find_structure,
)
from grainscout.microstructure.structure import Structure
from grainscout.records import FloatArray, Scan, Waveform
from grainscout.records.drawn import Axes, Drawn, draw_image, lengths
from grainscout.records.scan import checked_sites
from grainscout.records.validation import in_range
from grainscout.simulator.film import artefacts, store, tip
from grainscout.simulator.film.artefacts import ScanTruth
from grainscout.simulator.film.blend import TransportMaps, parameter_maps
from grainscout.simulator.film.generate import SURFACE_STREAMS, generate_structure
from grainscout.simulator.film.spec import FilmSpec, fitted_spec
from grainscout.simulator.film.streams import STREAMS, as_seed, stream
from grainscout.simulator.transport.family import Family
from grainscout.simulator.transport.kernel import IVResult

_TILE = 1 << 20  # numbers in one tile of curves: 8 MB


@dataclass(frozen=True, kw_only=True, eq=False)
class Film(Drawn):
    """A film whose truth is known.

    Make one with :meth:`generate` or :meth:`from_topography`. Maps that cost time or memory are
    made when first asked for. Arrays are read-only.
    """

    spec: FilmSpec  #: Settings
    seed: np.random.SeedSequence  #: Seed of all that is random in the film
    structure: Structure  #: Grains, boundaries, vertices and the true surface
    #: Topography [m] that the film was made from, if it was, (rows, columns)
    measured: FloatArray | None = field(default=None, repr=False)
    #: Electrical truth of a file, which another version might draw differently from the seed
    stored_truth: TransportMaps | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        size = self.structure.pixel_size
        shape, grains = self.structure.height.shape, int(self.structure.labels.max()) + 1
        return f"Film of {lengths(shape, size)}, {grains} grains, seed {self.seed.entropy}"

    def draw(self, axes: Axes | None = None) -> Axes:
        """Draw the true surface, and return the axes."""
        structure = self.structure
        return draw_image(axes, structure.height, structure.pixel_size, "true height", "m")

    @classmethod
    def generate(
        cls, spec: FilmSpec | None = None, seed: int | np.random.SeedSequence = 0
    ) -> "Film":
        """Generate a film, the same for the same seed. ConfigError if the seed is unusable."""
        spec, source = spec or FilmSpec(), as_seed(seed)
        streams = {name: stream(source, name) for name in SURFACE_STREAMS}
        return cls(spec=spec, seed=source, structure=generate_structure(spec, streams))

    @classmethod
    def from_topography(
        cls,
        height: ArrayLike,
        pixel_size: float | tuple[float, float],
        *,
        spec: FilmSpec | None = None,
        seed: int | np.random.SeedSequence = 0,
        labels: ArrayLike | None = None,
    ) -> "Film":
        """Make a film on a measured image.

        Its grains, boundaries, junctions and asymmetry are found in the image. An image in which
        nothing stands out of its noise is one grain, infinitely far from a boundary.

        Parameters
        ----------
        height : (rows, columns) array of float
            Topography [m].
        pixel_size : float or (float, float)
            Pixel size, or row step and column step [m].
        spec : FilmSpec or None
            Its `segmentation` says how grains are found and its `transport` what they do. Frame,
            grain size and surface are those of the image.
        seed : int or numpy.random.SeedSequence
            Seed of the electrical truth.
        labels : (rows, columns) array of int, optional
            Grain of each pixel, 0 .. n-1. Without it, grains are found in the image.

        Raises
        ------
        DataError
            The image is unusable or without relief.
        ConfigError
            The pixel size or the seed is unusable.
        """
        image, steps = checked_image(height, pixel_size)
        wanted = spec or FilmSpec()
        if labels is None:
            checked_extent(image.shape, steps, wanted.segmentation)
        structure = find_structure(
            image, steps, wanted.segmentation, None if labels is None else np.asarray(labels)
        )
        checked_relief(structure, image)
        image.setflags(write=False)
        return cls(
            spec=fitted_spec(structure, wanted),
            seed=as_seed(seed),
            structure=structure,
            measured=image,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.structure.shape

    @property
    def pixel_size(self) -> tuple[float, float]:
        """(row step, column step) [m]."""
        return self.structure.pixel_size

    @property
    def height(self) -> FloatArray:
        """True surface [m], (rows, columns)."""
        return self.structure.height

    @property
    def law(self) -> Family:
        """What contacts do."""
        return self.spec.transport.law

    @cached_property
    def truth(self) -> TransportMaps:
        """Electrical truth: parameters, archetype weights, hidden field, contact."""
        if self.stored_truth is not None:
            return self.stored_truth
        return parameter_maps(self.structure, self.spec.transport, stream(self.seed, "transport"))

    @property
    def parameters(self) -> dict[str, FloatArray]:
        """Maps (rows, columns) by names and units of the family's parameters."""
        return dict(self.truth.parameters)

    @property
    def archetype_weights(self) -> FloatArray:
        """Shares (..., 4) of club, heart, diamond and insulating."""
        return self.truth.weights

    @property
    def archetype(self) -> NDArray[np.uint8]:
        """Number of the largest share in `archetype_weights`."""
        return self.truth.archetype

    def dilated(self, tip_radius_nm: float | None = None) -> FloatArray:
        """Surface [m] as a tip sees it, without artefacts.

        Parameters
        ----------
        tip_radius_nm : float or None
            Apex radius [nm], that of the specification if None.
        """
        scan = self.spec.scan
        radius = scan.tip_radius_nm if tip_radius_nm is None else tip_radius_nm
        in_range("tip_radius_nm", radius, 0.0, 1e5, "nm")
        return tip.dilate(
            self.height, self.pixel_size, radius * 1e-9, np.deg2rad(scan.tip_angle_deg)
        )

    def imaged(
        self, *, tip_radius_nm: float | None = None, repeat: int = 0
    ) -> tuple[FloatArray, ScanTruth]:
        """A measured image [m], and its log.

        Parameters
        ----------
        tip_radius_nm : float or None
            Apex radius [nm], that of the specification if None.
        repeat : int
            Number of the image. Each has its own artefacts.
        """
        seed = self.seed
        if repeat:
            key = (*seed.spawn_key, len(STREAMS) + 1000, repeat)
            seed = np.random.SeedSequence(entropy=seed.entropy, spawn_key=key)
        return artefacts.image(
            self.dilated(tip_radius_nm),
            self.pixel_size,
            self.spec.scan,
            {name: stream(seed, name) for name in artefacts.STREAMS},
        )

    def scan(self, *, tip_radius_nm: float | None = None, repeat: int = 0) -> Scan:
        """The measured topography, channel "height" [m].

        On a film made from a measured image it is that image, whatever the arguments of `imaged`.
        """
        if self.measured is None:
            height, _ = self.imaged(tip_radius_nm=tip_radius_nm, repeat=repeat)
        else:
            height = self.measured
        return Scan(channels={"height": height}, units={"height": "m"}, pixel_size=self.pixel_size)

    def curves(
        self,
        sites: NDArray[np.integer[Any]],
        waveform: Waveform,
        *,
        light: float = 0.0,
        temperature: float = 298.0,
        state: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Noiseless curves at some sites.

        Parameters
        ----------
        sites : (n, 2) array of int
            Rows and columns.
        waveform : Waveform
            Voltage at the sample.
        light, temperature : float
            Conditions [suns], [K].
        state : (n, 2) array of float or None
            u [V] and x at the start, rested if None.

        Returns
        -------
        current : (n, samples) array of float
            Current [A].
        state : (n, 2) array of float
            u [V] and x at the end.
        """
        result = self.trajectories(
            sites, waveform, light=light, temperature=temperature, state=state, full=False
        )
        return result.current, result.state

    def trajectories(
        self,
        sites: NDArray[np.integer[Any]],
        waveform: Waveform,
        *,
        light: float = 0.0,
        temperature: float = 298.0,
        state: FloatArray | None = None,
        full: bool = True,
    ) -> IVResult:
        """As `curves`, with the states' trajectories if `full`."""
        return self.law.curves(
            self.parameters_at(sites),
            waveform,
            light=light,
            temperature=temperature,
            state=state,
            globals_=self.spec.transport.globals_,
            trajectories=full,
        )

    def all_curves(
        self, waveform: Waveform, *, light: float = 0.0, temperature: float = 298.0
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Every pixel's noiseless current, in tiles of rows.

        All contacts are rested. The whole film is never in memory. Arguments are those of `curves`.

        Yields
        ------
        rows : slice
            Rows of the tile.
        current : (tile rows, columns, samples) array of float
            Current [A].
        """
        rows, columns = self.shape
        step = max(1, _TILE // (columns * len(waveform)))
        for start in range(0, rows, step):
            part = slice(start, min(start + step, rows))
            result = self.law.curves(
                {k: v[part].ravel() for k, v in self.truth.parameters.items()},
                waveform,
                light=light,
                temperature=temperature,
                globals_=self.spec.transport.globals_,
            )
            yield part, result.current.reshape(-1, columns, len(waveform))

    def property_map(
        self,
        measure: Callable[[FloatArray], ArrayLike],
        waveform: Waveform,
        *,
        light: float = 0.0,
        temperature: float = 298.0,
    ) -> FloatArray:
        """Map (rows, columns) of a property of noiseless curves.

        Parameters
        ----------
        measure : callable
            Takes currents (n, samples) [A] and gives the property (n,).
        waveform, light, temperature
            As for `curves`.
        """
        out = np.empty(self.shape)
        for part, current in self.all_curves(waveform, light=light, temperature=temperature):
            flat = current.reshape(-1, current.shape[2])
            out[part] = np.reshape(measure(flat), current.shape[:2])
        return out

    def relax(
        self,
        sites: NDArray[np.integer[Any]],
        state: FloatArray,
        seconds: ArrayLike,
        *,
        light: float = 0.0,
        temperature: float = 298.0,
    ) -> FloatArray:
        """States (n, 2) at sites after `seconds` of rest."""
        return self.law.relax(
            state,
            self.parameters_at(sites),
            seconds,
            light=light,
            temperature=temperature,
            globals_=self.spec.transport.globals_,
        )

    def rest_state(self, sites: NDArray[np.integer[Any]]) -> FloatArray:
        """States (n, 2) of long-rested contacts at sites."""
        return self.law.rest(self.parameters_at(sites))

    def parameters_at(self, sites: NDArray[np.integer[Any]]) -> dict[str, FloatArray]:
        """Transport parameters (n,) at (n, 2) sites."""
        rows, columns = checked_sites("film sites", sites, self.shape, least=0, grid="film").T
        return {name: array[rows, columns] for name, array in self.truth.parameters.items()}

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file, replacing an existing one."""
        store.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Film":
        """Read a file. DataError if damaged or foreign."""
        return cls(**store.load(Path(path)))
