"""Settings of the segmentation of a measured image."""

from dataclasses import dataclass

from grainscout.records.validation import in_range

#: Pixels on a side of the smallest film: one patch of the published experiments.
PATCH = 16
#: Pixels on a side of the largest film that is supported.
LARGEST = 8192


@dataclass(frozen=True, kw_only=True)
class SegmentationSpec:
    """Settings of the search for grains in an image."""

    #: Width of the grooves looked for [nm]. The image is magnified so that they have the reader's
    #: usual 16 nm.
    scale_nm: float = 16.0
    #: Least depth of a grain in the read map of boundaries, in the reader's own standard deviations
    #: (root of the mean square over the image). Larger gives fewer grains.
    contrast: float = 0.5
    smallest_nm: float = 75.0  #: Equivalent diameter of the smallest grain [nm]
    #: level_lines, level_plane: Remove line offsets, and the plane, first.
    level_lines: bool = True
    level_plane: bool = True

    def __post_init__(self) -> None:
        for name in ("scale_nm", "smallest_nm"):
            in_range(f"segmentation {name}", getattr(self, name), 0.01, 1e6, "nm")
        in_range("segmentation contrast", self.contrast, 1e-3, 1e3)
