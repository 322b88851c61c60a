"""Comparison of policies: intervals, paired differences and verdicts.

The unit of evidence is the *film*. Two policies on one film share its grains and its noise, so that
their difference is paired. Repeated seeds on a film are averaged first. Tasks are strata: films are
resampled within a task, and every task has the same weight.

    interval(scores, film=films, task=tasks, seed=0)        interquartile mean and its interval
    paired_difference(a, b, film=films, task=tasks)         mean of a - b, t interval, p
    verdicts(table, names, film=films, task=tasks)          every pair, Holm-corrected, in words
    sequential_difference(a - b)                            valid after every film

All functions are pure: the same data and seed give the same numbers. A higher score is better. NaN
marks a failed cell, which is left out and counted.
"""

from grainscout.analysis.statistics.comparison import (
    Difference,
    Verdict,
    holm,
    paired_difference,
    verdicts,
)
from grainscout.analysis.statistics.comparison import judge_family as judge_family
from grainscout.analysis.statistics.comparison import sign_flip_p as sign_flip_p
from grainscout.analysis.statistics.estimates import (
    Interval,
    Ranked,
    curve_interval,
    interval,
    iqm,
    performance_profile,
    probability_of_improvement,
    ranking,
)
from grainscout.analysis.statistics.estimates import restricted_mean as restricted_mean
from grainscout.analysis.statistics.sequential import FilmSequence, sequential_difference

__all__ = [
    "Difference",
    "FilmSequence",
    "Interval",
    "Ranked",
    "Verdict",
    "curve_interval",
    "holm",
    "interval",
    "iqm",
    "paired_difference",
    "performance_profile",
    "probability_of_improvement",
    "ranking",
    "sequential_difference",
    "verdicts",
]
