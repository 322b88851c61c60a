from .base import CandidatePolicy, Choice, SeededPolicy, Selection
from .conformance.suite import check_policy, require_conforming
from .model_policy import ModelPolicy
from .protocol import (
    Explains,
    Policy,
    Predicts,
    Stateful,
    SupportsExplain,
    SupportsPredict,
    SupportsState,
)
from .registry import make_policy, policy_class, policy_names, policy_options
from .strategies.transfer import transfer

__all__ = [
    "CandidatePolicy",
    "Choice",
    "Explains",
    "ModelPolicy",
    "Policy",
    "Predicts",
    "SeededPolicy",
    "Selection",
    "Stateful",
    "SupportsExplain",
    "SupportsPredict",
    "SupportsState",
    "check_policy",
    "make_policy",
    "policy_class",
    "policy_names",
    "policy_options",
    "require_conforming",
    "transfer",
]
