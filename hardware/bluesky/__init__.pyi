from .devices import ImageDevice, MicroscopeDevice, RunCurves
from .optimizers import OptimizerPolicy, PolicyOptimizer, curve_point

__all__ = [
    "ImageDevice",
    "MicroscopeDevice",
    "OptimizerPolicy",
    "PolicyOptimizer",
    "RunCurves",
    "curve_point",
]
