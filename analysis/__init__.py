r"""Analysis: from curves to descriptors, scores and verdicts.

::

    curves --descriptors--> values with uncertainty --metrics--> learning curves of a run
       \--archetypes--> club, heart, diamond, insulating           |
                                      report, leaderboard  <--statistics (paired, by film)

* `curves`: versioned descriptors, loop archetypes, reversal families, lifetimes and solar cells.
* `metrics`, `diversity`: a run against the truth, as pure functions of arrays.
* `statistics`: intervals, paired differences and verdicts that can be "not decided".
* `forensics`: choices of a run, and other descriptors of its curves.
* `latent`: representations of patches and curves.
* `figures`: one function per figure, in one style.
* `formats`: files from instruments.

Sub-modules are imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
