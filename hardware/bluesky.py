"""Bluesky: the microscope as devices, our policies as optimizers, and any optimizer as one of our policies.

`MicroscopeDevice` puts a guarded microscope into a plan (``count``, ``scan``, ...), `PolicyOptimizer`
puts a policy into bluesky-adaptive's ``optimize``, and `RunCurves` hands the one's curves to the other::

    microscope = MicroscopeDevice(guard, name="afm")
    curves = RunCurves(microscope)
    engine.subscribe(curves.receive)
    engine(count([microscope]))

The devices need the extra ``bluesky``; the rest needs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from grainscout.hardware._bluesky import OptimizerPolicy, PolicyOptimizer, curve_point

if TYPE_CHECKING:
    from grainscout.hardware._ophyd import ImageDevice, MicroscopeDevice, RunCurves

__all__ = [
    "ImageDevice",
    "MicroscopeDevice",
    "OptimizerPolicy",
    "PolicyOptimizer",
    "RunCurves",
    "curve_point",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("grainscout.hardware._ophyd"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
