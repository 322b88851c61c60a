"""What to measure next: policies that ask and are told.

A :class:`Policy` is any object with three methods.  ``reset(problem, rng=...)`` begins an
experiment, ``ask(n)`` proposes sites and ``tell(outcomes)`` reports what was measured there::

    policy = make_policy("dkl", {"seed_points": 10})
    policy.reset(problem, rng=np.random.default_rng(0))
    while proposals := policy.ask():
        policy.tell([measure(proposal) for proposal in proposals])

A policy knows the :class:`~grainscout.records.Problem` (images, candidate sites, waveform, budget,
costs) and what it was told: never the truth.  It may also follow the optional protocols
:class:`Predicts`, :class:`Stateful` and :class:`Explains`.

The built-in ones are dataclasses whose fields are their options, found by name
(:func:`policy_names`); they share the bookkeeping of :class:`CandidatePolicy`, which a policy of
your own may use too but need not.  To add one, name its class under the entry point group
``grainscout.policies``; to see whether it keeps the protocol, run :func:`check_policy`.
"""

from grainscout.policies._base import CandidatePolicy, Choice, SeededPolicy
from grainscout.policies._check import CheckResult, check_policy, require_conforming
from grainscout.policies._protocol import Explains, Policy, Predicts, Stateful
from grainscout.policies._registry import make_policy, policy_class, policy_names, policy_options

__all__ = [
    "CandidatePolicy",
    "CheckResult",
    "Choice",
    "Explains",
    "Policy",
    "Predicts",
    "SeededPolicy",
    "Stateful",
    "check_policy",
    "make_policy",
    "policy_class",
    "policy_names",
    "policy_options",
    "require_conforming",
]
