"""What a film is asked to be: frozen settings, each with its unit in its name and its range checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, get_type_hints

import numpy as np

from grainscout.microstructure.spec import LARGEST, PATCH, SegmentationSpec
from grainscout.microstructure.structure import Structure
from grainscout.records import ConfigError
from grainscout.records.validation import in_range
from grainscout.simulator.transport.spec import TransportSpec

_Spec = TypeVar("_Spec")


def from_mapping(kind: type[_Spec], values: Mapping[str, Any], where: str) -> _Spec:
    """A settings dataclass from nested plain values; ConfigError names an unknown or unusable key."""
    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in names:
            raise ConfigError(f"{where} has no setting {name!r}; it has {', '.join(names)}")
        hint = hints[name]
        if is_dataclass(hint) and isinstance(hint, type):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where} {name} must be a table of settings; got {value!r}")
            value = from_mapping(hint, value, f"{where}.{name}")
        elif isinstance(value, list):
            value = tuple(value)
        given[name] = value
    try:
        return kind(**given)
    except TypeError as error:
        raise ConfigError(f"{where} has a setting of the wrong type: {error}") from error


@dataclass(frozen=True, kw_only=True)
class GrainSpec:
    """Sizes and shapes of the grains.

    mean_nm : mean equivalent-circle diameter [nm].
    ln_sd : standard deviation of ln(diameter) of the packed circles; sizes are lognormal.  The
        cells, which also share the gaps between circles, spread 4 .. 7 % more.
    diagram : "laguerre" (cells follow lognormal circles) or "voronoi" (equal weights).
    warp_nm : rms displacement [nm] that curves the boundaries; 0 = straight.
    asymmetric_share : share of boundaries with one sharp and one smooth flank.
    """

    mean_nm: float = 440.0
    ln_sd: float = 0.35
    diagram: Literal["laguerre", "voronoi"] = "laguerre"
    warp_nm: float = 25.0
    asymmetric_share: float = 0.25

    def __post_init__(self) -> None:
        in_range("grains mean_nm", self.mean_nm, 1.0, 1e6, "nm")
        in_range("grains ln_sd", self.ln_sd, 0.0, 0.6)
        in_range("grains asymmetric_share", self.asymmetric_share, 0.0, 1.0)
        # Beyond this the warp folds the plane over itself and a boundary has no single side.
        in_range("grains warp_nm", self.warp_nm, 0.0, 0.08 * self.mean_nm, "nm")
        if self.diagram not in ("laguerre", "voronoi"):
            raise ConfigError(
                f"grains diagram must be 'laguerre' or 'voronoi'; got {self.diagram!r}"
            )


@dataclass(frozen=True, kw_only=True)
class TopographySpec:
    """The true surface.  Lengths in nm; every amplitude may be 0, which switches the term off.

    dome_nm, dome_sd_nm : mean and spread of the grains' heights above their boundaries.
    flank_nm, flank_power : scale w and exponent p of the flanks, tanh((distance / w)^p): 1 is a sharp
        valley with flat tops, larger a wide valley with steep flanks.
    tilt : rms slope of the flat tops.
    undulation_nm : rms of the slow height variation under the grains.
    groove_depth_nm, groove_width_nm : thermal groove at each boundary: root below the flat
        surface, and distance from the root to the hump on either side.
    sharp, smooth, deeper : factors on the widths of an asymmetric boundary's two sides and on its
        depth, at full asymmetry.
    pit : factor on the groove's depth where boundaries meet.
    roughness_nm, hurst, rolloff_nm : rms, Hurst exponent and longest wavelength of the self-affine
        roughness.
    """

    dome_nm: float = 50.0
    dome_sd_nm: float = 20.0
    flank_nm: float = 90.0
    flank_power: float = 1.5
    tilt: float = 0.08
    undulation_nm: float = 30.0
    groove_depth_nm: float = 4.0
    groove_width_nm: float = 80.0
    sharp: float = 0.45
    smooth: float = 2.2
    deeper: float = 1.6
    pit: float = 1.5
    roughness_nm: float = 0.9
    hurst: float = 0.7
    rolloff_nm: float = 300.0

    def __post_init__(self) -> None:
        for name in ("dome_nm", "dome_sd_nm", "undulation_nm", "groove_depth_nm", "roughness_nm"):
            in_range(f"topography {name}", getattr(self, name), 0.0, 1e4, "nm")
        for name in ("flank_nm", "groove_width_nm", "rolloff_nm"):
            in_range(f"topography {name}", getattr(self, name), 0.1, 1e5, "nm")
        for name in ("sharp", "smooth", "deeper", "pit"):
            in_range(f"topography {name}", getattr(self, name), 0.05, 20.0)
        in_range("topography flank_power", self.flank_power, 0.5, 4.0)
        in_range("topography tilt", self.tilt, 0.0, 1.0)
        in_range("topography hurst", self.hurst, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ScanSpec:
    """How the surface is imaged; 0 switches a part off, and all off gives the dilated surface.

    tip_radius_nm, tip_angle_deg : apex radius (0 = an ideal point) and half-angle of the cone.
    noise_nm : rms of the white noise of each pixel.
    line_nm, line_walk_nm : rms offset of each line, white, and per-line step of a random walk.
    line_jumps, line_jump_nm : expected number of sudden jumps in an image, and their rms height.
    scars, scar_nm, scar_length_nm : expected number of scars (streaks along a line), their rms
        height and mean length.
    plane_nm : rms height difference across the image from an uncorrected sample tilt.
    drift_nm : rms displacement along each axis at the end of the image, linear in time.
    drift_walk_nm : rms displacement at the end of the image from a random walk.
    """

    tip_radius_nm: float = 76.0
    tip_angle_deg: float = 20.0
    noise_nm: float = 0.15
    line_nm: float = 0.8
    line_walk_nm: float = 0.1
    line_jumps: float = 0.5
    line_jump_nm: float = 2.0
    scars: float = 1.0
    scar_nm: float = 3.0
    scar_length_nm: float = 400.0
    plane_nm: float = 0.0
    drift_nm: float = 0.0
    drift_walk_nm: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            "tip_radius_nm",
            "noise_nm",
            "line_nm",
            "line_walk_nm",
            "line_jump_nm",
            "scar_nm",
            "plane_nm",
            "drift_nm",
            "drift_walk_nm",
        ):
            in_range(f"scan {name}", getattr(self, name), 0.0, 1e4, "nm")
        in_range("scan tip_angle_deg", self.tip_angle_deg, 5.0, 85.0, "degrees")
        in_range("scan line_jumps", self.line_jumps, 0.0, 1e4)
        in_range("scan scars", self.scars, 0.0, 1e4)
        in_range("scan scar_length_nm", self.scar_length_nm, 1.0, 1e6, "nm")


@dataclass(frozen=True, kw_only=True)
class FilmSpec:
    """A film: its frame and its parts.

    rows, columns : pixels, at least 16 each (one patch).  row_nm, column_nm : pixel steps [nm].
    grains, topography, transport, scan : the parts;  segmentation : for a measured image only.
    """

    rows: int = 128
    columns: int = 128
    row_nm: float = 20.0
    column_nm: float = 20.0
    grains: GrainSpec = field(default_factory=GrainSpec)
    topography: TopographySpec = field(default_factory=TopographySpec)
    transport: TransportSpec = field(default_factory=TransportSpec)
    scan: ScanSpec = field(default_factory=ScanSpec)
    segmentation: SegmentationSpec = field(default_factory=SegmentationSpec)

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"film {name} must be a whole number of pixels; got {value!r}")
            if not PATCH <= value <= LARGEST:
                raise ConfigError(
                    f"film {name} must be {PATCH} .. {LARGEST} pixels (a patch is {PATCH} x "
                    f"{PATCH}); got {value}"
                )
        for name in ("row_nm", "column_nm"):
            in_range(f"film {name}", getattr(self, name), 0.01, 1e5, "nm")
        coarsest = max(self.row_nm, self.column_nm)
        largest = 10.0 * max(self.rows * self.row_nm, self.columns * self.column_nm)
        if self.grains.mean_nm > largest:
            raise ConfigError(
                f"grains mean_nm must be at most 10 times the frame, {largest:g} nm; got "
                f"{self.grains.mean_nm} nm"
            )
        if self.grains.mean_nm < 3 * coarsest:
            raise ConfigError(
                "grains mean_nm must be at least 3 pixels, or boundaries fill the film; got "
                f"{self.grains.mean_nm} nm with pixels of {coarsest} nm. Use smaller pixels"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    @property
    def pixel_size(self) -> tuple[float, float]:
        """(row step, column step) [m]."""
        return self.row_nm * 1e-9, self.column_nm * 1e-9

    def to_dict(self) -> dict[str, Any]:
        """The settings as nested plain values, ready for JSON or TOML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FilmSpec:
        """The specification of nested plain values; ConfigError names an unknown key or bad value."""
        return from_mapping(cls, values, "film")


def fitted_spec(structure: Structure, spec: FilmSpec) -> FilmSpec:
    """`spec` with the frame and the mean grain of a measured structure."""
    rows, columns = structure.shape
    area = structure.grains["area"][structure.grains["area"] > 0]
    row_nm, column_nm = (p / 1e-9 for p in structure.pixel_size)
    mean = float(np.sqrt(4 * area / np.pi).mean() / 1e-9)
    grains = replace(spec.grains, mean_nm=max(mean, 3 * max(row_nm, column_nm)), warp_nm=0.0)
    return replace(
        spec, rows=rows, columns=columns, row_nm=row_nm, column_nm=column_nm, grains=grains
    )
