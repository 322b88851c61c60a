"""Settings of a film, with units in their names."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, get_type_hints

import numpy as np

from grainscout.microstructure.spec import LARGEST, PATCH
from grainscout.microstructure.spec import SegmentationSpec as SegmentationSpec
from grainscout.microstructure.structure import Structure as Structure
from grainscout.records import ConfigError
from grainscout.records.validation import in_range, in_ranges
from grainscout.simulator.transport.spec import TransportSpec

_Spec = TypeVar("_Spec")

#: Settings of segmenters of before and their defaults; they decide nothing now.
_OLD_SEGMENTATION = {"valley": 1.0, "step": 0.5, "flank_nm": 140.0, "asymmetric_ratio": 1.8}


def from_mapping(cls: type[_Spec], values: Mapping[str, Any], where: str) -> _Spec:
    """Make a settings dataclass from nested plain values."""
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
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
        return cls(**given)
    except TypeError as error:
        raise ConfigError(f"{where} has a setting of the wrong type: {error}") from error


@dataclass(frozen=True, kw_only=True)
class GrainSpec:
    """Sizes and shapes of the grains."""

    mean_nm: float = 440.0  #: Mean equivalent-circle diameter [nm]
    #: Standard deviation of ln(diameter) of the packed circles, whose sizes are lognormal. The
    #: cells, which also share the gaps between circles, spread 4 .. 7 % more.
    ln_sd: float = 0.35
    #: Cells that follow lognormal circles, or cells of equal weights
    diagram: Literal["laguerre", "voronoi"] = "laguerre"
    #: rms displacement that curves the boundaries [nm]. 0 makes them straight.
    warp_nm: float = 25.0
    asymmetric_share: float = 0.25  #: Share of boundaries with one sharp and one smooth flank

    def __post_init__(self) -> None:
        ranges = {
            "mean_nm": (1.0, 1e6, "nm"),
            "ln_sd": (0.0, 0.6, ""),
            "asymmetric_share": (0.0, 1.0, ""),
        }
        in_ranges("grains", self, ranges)
        # Beyond this the warp folds the plane over itself and a boundary has no single side.
        in_range("grains warp_nm", self.warp_nm, 0.0, 0.08 * self.mean_nm, "nm")
        if self.diagram not in ("laguerre", "voronoi"):
            raise ConfigError(
                f"grains diagram must be 'laguerre' or 'voronoi'; got {self.diagram!r}"
            )


@dataclass(frozen=True, kw_only=True)
class TopographySpec:
    """The true surface.

    An amplitude of 0 switches its term off.
    """

    #: dome_nm, dome_sd_nm: Mean and spread of the grains' heights above their boundaries [nm]
    dome_nm: float = 50.0
    dome_sd_nm: float = 20.0
    #: flank_nm, flank_power: Scale w [nm] and exponent p of the flanks, tanh((distance / w)^p). p =
    #: 1 is a sharp valley with flat tops. A larger one is a wide valley with steep flanks.
    flank_nm: float = 90.0
    flank_power: float = 1.5
    tilt: float = 0.08  #: rms slope of the flat tops
    undulation_nm: float = 30.0  #: rms of the slow height variation under the grains [nm]
    #: Root of the thermal groove at each boundary below the flat surface [nm]
    groove_depth_nm: float = 4.0
    groove_width_nm: float = 80.0  #: Distance from the root to the hump on either side [nm]
    #: sharp, smooth: Factors on the widths of an asymmetric boundary's two sides, at full asymmetry
    sharp: float = 0.45
    smooth: float = 2.2
    deeper: float = 1.6  #: Factor on the depth of an asymmetric boundary, at full asymmetry
    #: Share of a boundary's asymmetry that the surface shows. At 0 both sides look the same.
    asymmetry_shown: float = 1.0
    pit: float = 1.5  #: Factor on the groove's depth where boundaries meet
    roughness_nm: float = 0.9  #: rms of the self-affine roughness [nm]
    hurst: float = 0.7  #: Hurst exponent of the roughness
    rolloff_nm: float = 300.0  #: Longest wavelength of the roughness [nm]

    def __post_init__(self) -> None:
        heights = ("dome_nm", "dome_sd_nm", "undulation_nm", "groove_depth_nm", "roughness_nm")
        lengths = ("flank_nm", "groove_width_nm", "rolloff_nm")
        factors = ("sharp", "smooth", "deeper", "pit")
        ranges = {
            **dict.fromkeys(heights, (0.0, 1e4, "nm")),
            **dict.fromkeys(lengths, (0.1, 1e5, "nm")),
            **dict.fromkeys(factors, (0.05, 20.0, "")),
            "flank_power": (0.5, 4.0, ""),
            "asymmetry_shown": (0.0, 1.0, ""),
            "tilt": (0.0, 1.0, ""),
            "hurst": (0.0, 1.0, ""),
        }
        in_ranges("topography", self, ranges)


@dataclass(frozen=True, kw_only=True)
class ScanSpec:
    """Imaging of the surface.

    0 switches a part off. All off gives the dilated surface.
    """

    tip_radius_nm: float = 76.0  #: Apex radius of the tip [nm]. 0 is an ideal point.
    tip_angle_deg: float = 20.0  #: Half-angle of the tip's cone [degrees]
    noise_nm: float = 0.15  #: rms of the noise of each pixel [nm]
    #: Length [nm] over which the feedback smooths that noise along a line. 0 leaves it white.
    noise_length_nm: float = 0.0
    line_nm: float = 0.8  #: rms of the white offset of each line [nm]
    line_walk_nm: float = 0.1  #: Step of the random walk from line to line [nm]
    #: line_jumps, line_jump_nm: Expected number of sudden jumps in an image, and their rms height
    #: [nm]
    line_jumps: float = 0.5
    line_jump_nm: float = 2.0
    #: scars, scar_nm, scar_length_nm: Expected number of scars (streaks along a line), their rms
    #: height and mean length [nm]
    scars: float = 1.0
    scar_nm: float = 3.0
    scar_length_nm: float = 400.0
    #: rms height difference across the image from an uncorrected sample tilt [nm]
    plane_nm: float = 0.0
    #: rms displacement along each axis at the end of the image, linear in time [nm]
    drift_nm: float = 0.0
    drift_walk_nm: float = 0.0  #: rms displacement at the end of the image from a random walk [nm]

    def __post_init__(self) -> None:
        lengths = [f.name for f in fields(self) if f.name.endswith("_nm")]
        ranges = {
            **dict.fromkeys(lengths, (0.0, 1e4, "nm")),
            "tip_angle_deg": (5.0, 85.0, "degrees"),
            "line_jumps": (0.0, 1e4, ""),
            "scars": (0.0, 1e4, ""),
            "scar_length_nm": (1.0, 1e6, "nm"),
        }
        in_ranges("scan", self, ranges)


@dataclass(frozen=True, kw_only=True)
class FilmSpec:
    """Frame and parts of a film."""

    #: rows, columns: Size of the frame [pixels], at least 16 each (one patch)
    rows: int = 128
    columns: int = 128
    #: row_nm, column_nm: Pixel steps [nm]
    row_nm: float = 20.0
    column_nm: float = 20.0
    grains: GrainSpec = field(default_factory=GrainSpec)  #: Sizes and shapes of the grains
    topography: TopographySpec = field(default_factory=TopographySpec)  #: The true surface
    #: Law from microstructure to transport
    transport: TransportSpec = field(default_factory=TransportSpec)
    scan: ScanSpec = field(default_factory=ScanSpec)  #: Imaging of the surface
    #: Way to find grains, for a measured image only
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
        """Settings as nested plain values for JSON or TOML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FilmSpec":
        """Specification from nested plain values. ConfigError if unusable."""
        values = dict(values)
        found = values.get("segmentation")
        if isinstance(found, Mapping):
            values["segmentation"] = {k: v for k, v in found.items() if k not in _OLD_SEGMENTATION}
            idle = [k for k, usual in _OLD_SEGMENTATION.items() if found.get(k, usual) != usual]
            if idle:
                warnings.warn(
                    f"film segmentation {', '.join(idle)} decides nothing any more: the structure "
                    "reader finds boundaries and their asymmetry. Leave it out",
                    stacklevel=2,
                )
        return from_mapping(cls, values, "film")


def fitted_spec(structure: Structure, spec: FilmSpec) -> FilmSpec:
    """`spec` with a measured structure's frame and mean grain."""
    rows, columns = structure.shape
    area = structure.grains["area"][structure.grains["area"] > 0]
    row_nm, column_nm = (p / 1e-9 for p in structure.pixel_size)
    mean = float(np.sqrt(4 * area / np.pi).mean() / 1e-9)
    grains = replace(spec.grains, mean_nm=max(mean, 3 * max(row_nm, column_nm)), warp_nm=0.0)
    return replace(
        spec, rows=rows, columns=columns, row_nm=row_nm, column_nm=column_nm, grains=grains
    )
