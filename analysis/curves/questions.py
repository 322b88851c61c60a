"""All descriptors of recorded curves, and light's effect."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from grainscout.analysis.curves.block import Flag
from grainscout.analysis.curves.descriptors import Described, describe_all, descriptor_names
from grainscout.records import BoolArray, DataError


def counterfactual(
    voltage: ArrayLike,
    current: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    target: str | None = None,
    saturated: ArrayLike | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute every descriptor along a recorded trace.

    Parameters
    ----------
    voltage : (s,) array of float
        Voltage [V].
    current : (n, s) array of float
        Current [A] in the order of measurement.
    names : sequence of str, optional
        Descriptors. All if None.
    target : str, optional
        Descriptor to correlate with.
    saturated : (n, s) array of bool, optional
        True at the amplifier's rail.

    Returns
    -------
    values : DataFrame
        A row per measurement and a column per descriptor, NaN where it has no value.
    summary : DataFrame
        A row per descriptor: unit, valid and censored shares, best value and its step, and rank
        correlations with the step and with `target` (NaN under 3 values).
    """
    chosen = list(names) if names is not None else descriptor_names()
    described = describe_all([*chosen, *([target] if target else [])], voltage, current, saturated)
    values = pd.DataFrame({name: described[name].value for name in chosen})
    values.insert(0, "step", np.arange(1, len(values) + 1))
    rows = [
        {
            "descriptor": name,
            "unit": described[name].unit,
            "valid": described[name].valid.mean(),
            "censored": described[name].censored.mean(),
            **_best(described[name]),
            "rank_correlation_with_step": _spearman(described[name].value, values["step"]),
            "rank_correlation_with_target": (
                _spearman(described[name].value, described[target].value) if target else np.nan
            ),
        }
        for name in chosen
    ]
    return values, pd.DataFrame(rows)


def light_difference(
    voltage: ArrayLike,
    dark: ArrayLike,
    light: ArrayLike,
    *,
    names: Sequence[str] = ("max_current", "turn_on", "loop_area", "zero_bias_current"),
) -> pd.DataFrame:
    """Compare descriptors in light and in the dark.

    Parameters
    ----------
    voltage : (s,) array of float
        Voltage [V].
    dark, light : (n, s) array of float
        Currents [A] of the same sites.
    names : sequence of str
        Descriptors.

    Returns
    -------
    DataFrame
        A row per site and descriptor: site, descriptor, unit, dark, light, difference (light minus
        dark), sigma, clear (more than 3 sigma) and bound ("", "at least" or "at most"). NaN where
        either has no value, or where both are bounds.
    """
    off, on = describe_all(names, voltage, dark), describe_all(names, voltage, light)
    frames = []
    for name in names:
        a, b = off[name], on[name]
        if len(a) != len(b):
            raise DataError(
                f"dark and light must be the same sites; got {len(a)} and {len(b)} curves"
            )
        both = a.censored & b.censored
        difference = np.where(both, np.nan, b.value - a.value)
        sigma = np.hypot(a.sigma, b.sigma)
        # A lower bound in light makes the difference "at least", one in the dark "at most".
        rising = (b.censored & ~_upper(b)) | (a.censored & _upper(a))
        falling = (b.censored & _upper(b)) | (a.censored & ~_upper(a))
        frames.append(
            pd.DataFrame(
                {
                    "site": np.arange(len(a)),
                    "descriptor": name,
                    "unit": a.unit,
                    "dark": a.value,
                    "light": b.value,
                    "difference": difference,
                    "sigma": sigma,
                    "clear": np.abs(difference) > 3 * sigma,
                    "bound": np.select([both, rising, falling], ["", "at least", "at most"], ""),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _upper(described: Described) -> BoolArray:
    """True where a censored value is an upper bound."""
    return np.asarray((described.flags & Flag.BELOW_NOISE) != 0)


def _best(described: Described) -> dict[str, float]:
    if not described.valid.any():
        return {"best": np.nan, "best_step": np.nan}
    at = int(np.nanargmax(described.value))
    return {"best": float(described.value[at]), "best_step": float(at + 1)}


def _spearman(a: ArrayLike, b: ArrayLike) -> float:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 3 or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return float("nan")
    return float(stats.spearmanr(x[both], y[both]).statistic)
