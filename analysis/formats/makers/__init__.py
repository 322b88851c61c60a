"""Files of further makers of microscopes; each reader cites where its layout is written down."""

from grainscout.analysis.formats.makers.bruker import load_bruker
from grainscout.analysis.formats.makers.createc import load_createc
from grainscout.analysis.formats.makers.movies import load_asd
from grainscout.analysis.formats.makers.nanosurf import load_nid
from grainscout.analysis.formats.makers.omicron import load_matrix
from grainscout.analysis.formats.makers.park import load_park
from grainscout.analysis.formats.makers.rhk import load_sm4
from grainscout.analysis.formats.makers.wsxm import load_wsxm

__all__ = [
    "load_asd",
    "load_bruker",
    "load_createc",
    "load_matrix",
    "load_nid",
    "load_park",
    "load_sm4",
    "load_wsxm",
]
