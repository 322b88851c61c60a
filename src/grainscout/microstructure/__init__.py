"""Grains, boundaries and junctions of an image.

:class:`Structure` is the microstructure of a film on its pixel grid, drawn by the simulator or found in
an image by :func:`find_structure`.  :func:`structure_features` gives what a scan shows as maps that
policies learn from.  Both look with the trained structure reader, ``microstructure.reader``. It imports
torch only when it reads.
"""

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
