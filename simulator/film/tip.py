"""Grey dilation and erosion by a tip.

The image at p is the height at which the tip first touches: max over q of h(p + q) - s(q), with
s the tip's shape above its apex (Villarrubia 1997). A paraboloid is a sum of a row part and a
column part, so its dilation is one pass along each axis. The cone that carries it only matters
where the surface is deeper than the point at which both have one slope. There the two-pass result
is no longer exact, and the full footprint is used.
"""

import math

import numpy as np

from grainscout.records import FloatArray


def tip_shape(
    relief: float, pixel: tuple[float, float], radius: float, half_angle: float
) -> FloatArray:
    """Heights above the apex: a paraboloid r²/(2 radius), then a cone of `half_angle` [rad]."""
    slope = 1.0 / math.tan(half_angle)
    joint = radius * slope
    if relief <= joint**2 / (2 * radius):
        reach = math.sqrt(2 * radius * relief)
    else:
        reach = joint + (relief - joint**2 / (2 * radius)) / slope
    # One pixel more, where the tip is higher than any relief, changes nothing.
    half = [math.ceil(reach / p) for p in pixel]
    y, x = (np.arange(-n, n + 1) * p for n, p in zip(half, pixel, strict=True))
    r = np.hypot(y[:, None], x)
    shape: FloatArray = np.where(
        r <= joint, r**2 / (2 * radius), joint * slope / 2 + (r - joint) * slope
    )
    return shape


def dilate(
    height: FloatArray,
    pixel: tuple[float, float],
    radius: float,
    half_angle: float = math.radians(20),
) -> FloatArray:
    """Noiseless image by a tip of apex `radius`."""
    relief = float(np.ptp(height))
    if radius <= 0 or relief == 0:
        return height.copy()
    slope = 1.0 / math.tan(half_angle)
    if relief > radius * slope**2 / 2:
        return dilate_by(height, tip_shape(relief, pixel, radius, half_angle))
    for axis in (0, 1):
        half = math.ceil(math.sqrt(2 * radius * relief) / pixel[axis])
        offset = np.arange(-half, half + 1) * pixel[axis]
        line: FloatArray = np.expand_dims(offset**2 / (2 * radius), 1 - axis)
        height = dilate_by(height, line)
    return height


def dilate_by(height: FloatArray, shape: FloatArray) -> FloatArray:
    """Grey dilation by any tip, an (odd, odd) array."""
    rows, columns = height.shape
    relief = float(np.ptp(height))
    middle = (shape.shape[0] // 2, shape.shape[1] // 2)
    out = np.full(height.shape, -np.inf)
    for i, j in np.argwhere(shape <= relief) - middle:
        if abs(i) >= rows or abs(j) >= columns:
            continue
        view = out[max(0, -i) : rows - max(0, i), max(0, -j) : columns - max(0, j)]
        seen = height[max(0, i) : rows + min(0, i), max(0, j) : columns + min(0, j)]
        np.maximum(view, seen - shape[middle[0] + i, middle[1] + j], out=view)
    return out


def erode_by(image: FloatArray, shape: FloatArray) -> FloatArray:
    """Grey erosion: highest surface that gives `image`."""
    return -dilate_by(-image, shape[::-1, ::-1])
