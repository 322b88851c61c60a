"""Conformance suite of policies, and the toy sample that it works on."""

from grainscout.policies.conformance.suite import check_policy, require_conforming
from grainscout.policies.conformance.toy_sample import ToySample, play

__all__ = ["ToySample", "check_policy", "play", "require_conforming"]
