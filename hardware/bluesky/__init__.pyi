from .devices import ImageDevice as ImageDevice
from .devices import MicroscopeDevice as MicroscopeDevice
from .devices import RunCurves as RunCurves
from .optimizers import OptimizerPolicy as OptimizerPolicy
from .optimizers import PolicyOptimizer as PolicyOptimizer
from .optimizers import curve_point as curve_point
