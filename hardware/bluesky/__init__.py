"""Bluesky: microscopes as devices, policies as optimizers, optimizers as policies.

`MicroscopeDevice` puts a guarded microscope into a plan (``count``, ``scan``, ...), `PolicyOptimizer`
puts a policy into bluesky-adaptive's ``optimize``, and `RunCurves` hands the one's curves to the other::

    microscope = MicroscopeDevice(guard, name="afm")
    curves = RunCurves(microscope)
    engine.subscribe(curves.receive)
    engine(count([microscope]))

The devices need the extra ``bluesky``. The rest needs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
