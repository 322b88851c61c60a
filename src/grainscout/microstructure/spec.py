"""Settings of the segmentation of a measured image."""

from __future__ import annotations

from dataclasses import dataclass

from grainscout.records.validation import in_range

#: Pixels on a side of the smallest film: one patch of the published experiments.
PATCH = 16
#: Pixels on a side of the largest film that is supported.
LARGEST = 8192


@dataclass(frozen=True, kw_only=True)
class SegmentationSpec:
    """Settings of the search for grains in an image.

    Attributes
    ----------
    scale_nm : float
        Width of the grooves looked for [nm]. Smaller detail is smoothed away. At least 0.8 pixels.
    contrast : float
        Least strength of a boundary above its grains, in standard deviations of the groove map.
        Larger gives fewer grains. Never less than five standard deviations of what the image's own
        noise and line offsets look like.
    smallest_nm : float
        Equivalent diameter of the smallest grain [nm].
    flank_nm : float
        Distance from a boundary over which its two flanks are compared [nm].
    asymmetric_ratio : float
        Ratio of the two flanks' widths at which a boundary is fully asymmetric. Below its square
        root a boundary is symmetric.
    level_lines, level_plane : bool
        Remove line offsets, and the plane, first.
    """

    scale_nm: float = 16.0
    contrast: float = 0.5
    smallest_nm: float = 75.0
    flank_nm: float = 140.0
    asymmetric_ratio: float = 1.8
    level_lines: bool = True
    level_plane: bool = True

    def __post_init__(self) -> None:
        for name in ("scale_nm", "smallest_nm", "flank_nm"):
            in_range(f"segmentation {name}", getattr(self, name), 0.01, 1e6, "nm")
        in_range("segmentation contrast", self.contrast, 1e-3, 1e3)
        in_range("segmentation asymmetric_ratio", self.asymmetric_ratio, 1.01, 1e3)
