"""Settings of the segmentation of a measured image."""

from __future__ import annotations

from dataclasses import dataclass

from grainscout.records import ConfigError
from grainscout.records.validation import in_range

#: Pixels on a side of the smallest film: one patch of the published experiments.
PATCH = 16
#: Pixels on a side of the largest film that is supported.
LARGEST = 8192


@dataclass(frozen=True, kw_only=True)
class SegmentationSpec:
    """How grains are found in a measured image (`Film.from_topography`); look at the result.

    scale_nm : width [nm] of the boundaries looked for; detail below it is smoothed away.
    valley, step : weights of the two signs of a boundary, a groove and a height step.
    contrast : how much stronger than its grains a boundary must be, in units of the image's typical
        strength; larger = fewer grains.  Never less than five standard deviations of what the
        image's own noise and line offsets look like.
    smallest_nm : smallest grain, equivalent diameter [nm].
    flank_nm : how far from a boundary its two flanks are compared [nm].
    asymmetric_ratio : ratio of the two flanks' widths at which a boundary is fully asymmetric; below
        its square root it is symmetric.
    level_lines, level_plane : remove line offsets and the plane first.
    """

    scale_nm: float = 35.0
    valley: float = 1.0
    step: float = 0.5
    contrast: float = 0.7
    smallest_nm: float = 150.0
    flank_nm: float = 140.0
    asymmetric_ratio: float = 1.8
    level_lines: bool = True
    level_plane: bool = True

    def __post_init__(self) -> None:
        for name in ("scale_nm", "smallest_nm", "flank_nm"):
            in_range(f"segmentation {name}", getattr(self, name), 0.01, 1e6, "nm")
        for name in ("valley", "step"):
            in_range(f"segmentation {name}", getattr(self, name), 0.0, 1e3)
        in_range("segmentation contrast", self.contrast, 1e-3, 1e3)
        in_range("segmentation asymmetric_ratio", self.asymmetric_ratio, 1.01, 1e3)
        if self.valley == 0 and self.step == 0:
            raise ConfigError("segmentation valley and step must not both be 0; got 0 and 0")
