from .base import CandidatePolicy, SeededPolicy, Selection
from .base import Choice as Choice
from .conformance.suite import check_policy, require_conforming
from .model_policy import ModelPolicy
from .protocol import Explains as Explains
from .protocol import Policy, SupportsExplain, SupportsPredict, SupportsState
from .protocol import Predicts as Predicts
from .protocol import Stateful as Stateful
from .registry import make_policy, policy_class, policy_names, policy_options
from .strategies.transfer import transfer

__all__ = [
    "CandidatePolicy",
    "ModelPolicy",
    "Policy",
    "SeededPolicy",
    "Selection",
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
