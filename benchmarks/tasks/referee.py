"""The referee: the one model that turns the curves of any policy into a map."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from grainscout.policies import Policy, make_policy
from grainscout.policies.protocol import SupportsPredict
from grainscout.records import FloatArray, Outcome, PolicyError, Problem
from grainscout.records.supports import supports

#: Name and options of the policy whose model is the referee. A better model goes here and nowhere else.
REFEREE: tuple[str, dict[str, object]] = ("dkl", {})
_WINDOW = 16  # pixels: side of the patches that it looks at


def evaluation_map(problem: Problem, outcomes: Sequence[Outcome]) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation at every candidate by the fixed referee, from the usable curves alone."""
    return next(referee_maps(problem, outcomes, [len(outcomes)]))


def referee_maps(
    problem: Problem, outcomes: Sequence[Outcome], counts: Sequence[int]
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """`evaluation_map` of the first outcomes, for rising counts."""
    name, options = REFEREE
    if (side := min(problem.scan.shape)) < _WINDOW:  # a small recorded grid
        options = {"window": side, **options}
    return maps_by(make_policy(name, options), problem, outcomes, counts)


def maps_by(
    policy: Policy, problem: Problem, outcomes: Sequence[Outcome], counts: Sequence[int]
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Maps of a policy that is told outcomes which it did not ask for, after each of rising counts."""
    if not supports(policy, SupportsPredict):
        raise PolicyError("the model of a map must be a policy that can predict")
    policy.reset(problem, rng=np.random.default_rng(0))
    for begin, end in pairwise((0, *counts)):
        policy.tell([replace(o, proposal_id=None) for o in outcomes[begin:end] if o.usable])
        yield policy.predict()
