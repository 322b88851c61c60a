"""Files of Nanonis: images (``.sxm``), grids of spectra (``.3ds``) and single spectra (``.dat``)."""

from grainscout.analysis.formats.nanonis.grid import load_3ds
from grainscout.analysis.formats.nanonis.image import load_sxm
from grainscout.analysis.formats.nanonis.spectrum import load_dat

__all__ = ["load_3ds", "load_dat", "load_sxm"]
