"""Where sites lie: the last image, the tip's site, and the displacement of a drifting sample."""

import math
from collections.abc import Callable

import numpy as np

from grainscout.hardware.limits import Limits, Violation
from grainscout.records import LimitError, NotSentError, PackedState, Scan, Site

#: Largest displacement of sites, as a share of the image. Beyond it the frame must be moved.
MAX_DISPLACED = 0.25


class Geometry:
    """The image that sites refer to, and how far they are displaced from it."""

    def __init__(self, scan: Scan | None) -> None:
        self.scan = scan
        self.at: Site | None = None
        self.displaced = (0.0, 0.0)  # rows and columns [pixels]

    def take(self, scan: Scan) -> Scan:
        """Begin anew on another image."""
        self.scan, self.displaced = scan, (0.0, 0.0)
        return scan

    def check(self, site: Site, sent: Site, limits: Limits) -> list[Violation]:
        """List the limits that this site would break. LimitError if it, or what is sent, is off the image."""
        if self.scan is None:
            if limits.frame_m is not None:
                raise LimitError(
                    "position must be known to keep the limit frame_m; take a scan first, or give "
                    "the guard the scan that sites refer to"
                )
            return []
        for place in (site, sent):
            if not self.scan.contains(place):
                rows, columns = self.scan.shape
                raise LimitError(
                    f"site must lie on the scan of {rows} rows x {columns} columns; got row {place[0]}, "
                    f"column {place[1]}"
                )
        x, y = self.scan.positions(np.array([site]) + self.displaced)[0]
        return limits.of_position(float(x), float(y))

    def too_far(self, rows: float, columns: float) -> Callable[[], list[Violation]]:
        """Check of a displacement [pixels]. NotSentError without an image."""

        def check() -> list[Violation]:
            if self.scan is None:
                raise NotSentError("a displacement needs a scan before it")
            most, by = MAX_DISPLACED * min(self.scan.shape), math.hypot(rows, columns)
            what, unit = "displacement of the sites", "pixels"
            found = Violation(limit="MAX_DISPLACED", value=by, allowed=most, unit=unit, what=what)
            return [] if by <= most else [found]

        return check

    def whole(self, site: Site) -> Site:
        """The pixel nearest to the displaced site."""
        return Site(*(at + round(by) for at, by in zip(site, self.displaced, strict=True)))

    def distance(self, site: Site) -> float:
        """Way of the tip to a site [m], 0 if unknown."""
        if self.scan is None or self.at is None:
            return 0.0
        (x0, y0), (x1, y1) = self.scan.position(self.at), self.scan.position(site)
        return math.hypot(x1 - x0, y1 - y0)

    def state(self) -> PackedState:
        """Site, displacement and frame, without the image."""
        scan = self.scan
        return {
            "at": None if self.at is None else list(self.at),
            "displaced": list(self.displaced),
            "frame": None
            if scan is None
            else [list(scan.shape), list(scan.pixel_size), list(scan.origin), scan.angle],
        }

    def restore(self, state: PackedState) -> None:
        """Continue from `state`; older ones have no displacement."""
        self.at = None if state["at"] is None else Site(*state["at"])
        if state["frame"] is not None:
            shape, pixel, origin, angle = state["frame"]
            self.scan = Scan(
                channels={"grid": np.zeros(shape)},
                pixel_size=(pixel[0], pixel[1]),
                origin=(origin[0], origin[1]),
                angle=angle,
            )
        rows, columns = state.get("displaced", (0.0, 0.0))
        self.displaced = (rows, columns)
