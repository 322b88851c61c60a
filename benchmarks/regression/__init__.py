"""Regression tests of models on films with known truth.

A *model* is any callable that is shown a film as a microscopist sees it and answers with what it
makes of it::

    def my_model(case: FilmCase) -> Answer:
        return {"mean": ..., "std": ...}         # (candidates,) map of the target loop_area [A V]
        return {"archetype": ...}                # (n,) kind of each measured curve
        return {"turn_on": ..., "loop_area": ...}    # (n,) descriptors of the measured curves
        return {"boundary": ...}                 # (rows, columns), higher where a boundary is
        return MyPolicy()                        # a fresh policy: it is run on the film
        return {"my_score": 0.8}                 # or numbers of its own; more is better

It is scored on sixteen fixed films, and each score compared film by film with the stored baseline:
a paired test over films, with Holm's correction over everything that was asked together, and a
margin below which a change does not matter in practice however significant it is.  Everything is
made from fixed seeds, so an unchanged model gives its baseline again, to rounding.
"""

from grainscout.benchmarks.regression.baseline import BaselineError as BaselineError
from grainscout.benchmarks.regression.films import (
    FILM_NAMES,
    FilmCase,
    FilmTruth,
    film_case,
    film_truth_of,
)
from grainscout.benchmarks.regression.models import MODELS, find_model
from grainscout.benchmarks.regression.regress import (
    BASELINES,
    Change,
    check,
    compare,
    score,
    update,
)
from grainscout.benchmarks.regression.regress import changes_table as changes_table
from grainscout.benchmarks.regression.scores import METRICS as METRICS
from grainscout.benchmarks.regression.scores import Answer, Model

__all__ = [
    "BASELINES",
    "FILM_NAMES",
    "MODELS",
    "Answer",
    "Change",
    "FilmCase",
    "FilmTruth",
    "Model",
    "check",
    "compare",
    "film_case",
    "film_truth_of",
    "find_model",
    "score",
    "update",
]
