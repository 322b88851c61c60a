"""Grainscout: a testbed for self-driving conductive AFM.

The path through the package, and the whole idea of it::

    film (truth known)  ->  microscope  ->  experiment (ask, measure, tell)  ->  journal
                                               ^ policy                           |
                            leaderboard, report  <-  campaign  <-  score against truth

``grainscout.records`` has the nouns, ``grainscout.experiment`` the loop.  This module imports no
package, so that the microscope's PC pays only for those it uses.
"""

from grainscout.moved import install

__version__ = "0.1.0"

install()
