"""What was learnt: curves become numbers, numbers become scores, scores become verdicts.

::

    curves --descriptors--> values with uncertainty --metrics--> learning curves of a run
       \\--archetypes--> club, heart, diamond, insulating           |
                                      report, leaderboard  <--statistics (paired, by film)

* `descriptors`: versioned numbers of a curve, never silent ones;  `archetypes`: its loop shape.
* `metrics`, `diversity`: a run against the truth, as pure functions of arrays.
* `statistics`: intervals, paired differences and a verdict that can say "not decided".
* `forensics`: what a run looked at, and what it would have concluded otherwise;  `forc`: where in
  a reversal family the loop is made;  `latent`: representations of patches and curves;
  `characterisation`: lifetimes and cells.
* `figures`: one function a figure, in one style.  `formats`: files from instruments.

Sub-modules are imported when they are first used, so that this package costs nothing by itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
