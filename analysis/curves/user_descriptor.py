"""Descriptors that a user's own function computes."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from grainscout.analysis.curves.block import Curves
from grainscout.analysis.curves.definitions import Raw
from grainscout.analysis.curves.descriptors import USER_DESCRIPTORS, Descriptor
from grainscout.records import ConfigError, DataError

_NAME = re.compile(
    r"(?P<module>[^\[\]]+?):(?P<function>[A-Za-z_]\w*)(?:\s*\[(?P<unit>[^\]]*)\])?\s*"
)


def is_user_descriptor(name: str) -> bool:
    """True for a name such as ``module:function [unit]``."""
    return ":" in name


def load_user_descriptor(name: str) -> Descriptor:
    """Descriptor of ``module:function [unit]`` or ``file.py:function [unit]``; ConfigError without it.

    The function takes the voltages (samples,) [V] and the curves (n, samples), and returns n values,
    or values and their standard deviations. NaN says that a curve has no value. Only a name that a
    task of the user's says is imported; one that comes over a link is not.
    """
    if name in USER_DESCRIPTORS:
        return USER_DESCRIPTORS[name]
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"target must be module:function [unit] or file.py:function [unit]; got {name!r}"
        )
    module = _module(match["module"])
    function = getattr(module, match["function"], None)
    if not callable(function):
        raise ConfigError(
            f"target {name!r} must name a function of {match['module']}; it has no "
            f"{match['function']!r}"
        )
    descriptor = Descriptor(
        name=name, unit=match["unit"] or "a.u.", version=1, compute=_computed(name, function)
    )
    USER_DESCRIPTORS[name] = descriptor
    return descriptor


def _module(name: str) -> ModuleType:
    """A module by its file or by its name, also in the working folder."""
    if name.endswith(".py"):
        path = Path(name).resolve()
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise ConfigError(f"target must name an existing file; there is none at {path}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"target must name a module that can be imported; {error}") from error
    finally:
        sys.path.remove(folder)


def _computed(name: str, function: Callable[..., Any]) -> Callable[[Curves], Raw]:
    def compute(curves: Curves) -> Raw:
        answer = function(curves.sweep.voltage.copy(), curves.current.copy())
        value, sigma = (
            answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, np.nan)
        )
        try:
            numbers = np.array(value, dtype=np.float64)
            width = np.broadcast_to(np.asarray(sigma, dtype=np.float64), numbers.shape).copy()
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} must return numbers; {error}") from error
        if numbers.shape != (len(curves),):
            raise DataError(
                f"{name} must return a value for each of the {len(curves)} curves; got shape "
                f"{numbers.shape}"
            )
        return Raw(numbers, width)

    compute.__doc__ = function.__doc__
    return compute
