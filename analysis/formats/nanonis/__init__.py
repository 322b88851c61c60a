"""Files of Nanonis: images (``.sxm``), grids of spectra (``.3ds``) and single spectra (``.dat``)."""

from grainscout.analysis.formats.nanonis.grid import read_3ds
from grainscout.analysis.formats.nanonis.image import read_sxm
from grainscout.analysis.formats.nanonis.spectrum import read_dat

__all__ = ["read_3ds", "read_dat", "read_sxm"]
