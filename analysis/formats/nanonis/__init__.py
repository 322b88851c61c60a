"""Files of Nanonis: images (``.sxm``), grids of spectra (``.3ds``) and single spectra (``.dat``)."""
