"""Valleys of a topography by its curvature: a quick look that learns nothing."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu

from grainscout.records import BoolArray, FloatArray

_ORDERS = ((2, 0), (1, 1), (0, 2))  # second derivatives


def groove_depth(
    image: FloatArray, sigma: Sequence[float], unit: Sequence[float] = (1.0, 1.0)
) -> FloatArray:
    """Curvature across a valley: the larger eigenvalue of the image's Hessian.

    Parameters
    ----------
    image : (rows, columns) array of float
        Topography, in any unit.
    sigma : two floats
        Width of the Gaussian derivatives along rows' and columns' direction [pixels].
    unit : two floats
        Lengths per which curvature is given [pixels]; `sigma` makes it a height.

    Returns
    -------
    (rows, columns) array of float
        In the image's unit. Positive in valleys.
    """
    yy, xy, xx = (
        unit[0] ** order[0]
        * unit[1] ** order[1]
        * gaussian_filter(image, sigma, order=order, mode="mirror")
        for order in _ORDERS
    )
    return np.asarray(0.5 * (yy + xx) + np.hypot(0.5 * (yy - xx), xy))


def grooves(image: FloatArray, sigma: Sequence[float] = (1.5, 1.5)) -> BoolArray:
    """Mask of the valleys between grains: `groove_depth` above Otsu's threshold.

    Parameters
    ----------
    image : (rows, columns) array of float
        Topography, in any unit.
    sigma : two floats
        Width of the Gaussian derivatives [pixels].
    """
    depth = groove_depth((image - image.mean()) / (float(image.std()) or 1.0), sigma)
    positive = depth[depth > 0]
    if positive.size == 0 or np.ptp(positive) == 0:
        return np.zeros(image.shape, bool)
    return np.asarray(depth > float(threshold_otsu(positive)))
