"""Policies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grainscout.policies.protocol import Policy
from grainscout.records.registry import Registry

#: Policies of our own: name -> module and class.
BUILTIN: Mapping[str, str] = {
    "random": "grainscout.policies.strategies.random:Random",
    "grid": "grainscout.policies.strategies.grid:Grid",
    "sobol": "grainscout.policies.strategies.space_filling:Sobol",
    "farthest-point": "grainscout.policies.strategies.space_filling:FarthestPoint",
    "shuffled-dkl": "grainscout.policies.strategies.controls:ShuffledDKL",
    "structure-only": "grainscout.policies.strategies.controls:FeatureFarthestPoint",
    "stratified-random": "grainscout.policies.strategies.controls:StratifiedRandom",
    "oracle": "grainscout.policies.strategies.controls:Oracle",
    "kriging": "grainscout.policies.strategies.kriging:Kriging",
    "structured-gp": "grainscout.policies.strategies.structured:Structured",
    "hypothesis": "grainscout.policies.strategies.hypothesis:Hypothesis",
    "beacon": "grainscout.policies.strategies.beacon:Beacon",
    "curiosity": "grainscout.policies.strategies.curiosity:Curiosity",
    "dkl": "grainscout.policies.strategies.dkl:DKL",
    "dual-novelty": "grainscout.policies.strategies.dual_novelty:DualNovelty",
    "scout": "grainscout.policies.strategies.scout:Scout",
    "boundary-dkl": "grainscout.policies.strategies.boundary:BoundaryDKL",
    "transfer-dkl": "grainscout.policies.strategies.transfer:TransferDKL",
    "co-navigation": "grainscout.policies.strategies.conavigation:CoNavigation",
}

#: Other packages' work behind our protocol: name -> package, known where it is installed.
PEERS: Mapping[str, str] = {
    "peer-atomai": "atomai",
    "peer-ax": "ax",
    "peer-baybe": "baybe",
    "peer-botorch": "botorch",
}
_PEER_CLASSES = {
    "peer-atomai": "grainscout.policies.peers.peers:PeerAtomAI",
    "peer-ax": "grainscout.policies.peers.peers:PeerAx",
    "peer-baybe": "grainscout.policies.peers.peers:PeerBayBE",
    "peer-botorch": "grainscout.policies.peers.peers:PeerBoTorch",
}

_REGISTRY: Registry[Policy] = Registry(
    "policy", group="grainscout.policies", builtin={**BUILTIN, **_PEER_CLASSES}, needs=PEERS
)


def peer_names() -> list[str]:
    """Sorted names of the peers whose package is installed."""
    return sorted(filter(_REGISTRY.installed, PEERS))


def policy_names() -> list[str]:
    """Sorted names that :func:`make_policy` knows."""
    return _REGISTRY.names()


def policy_class(name: str) -> type[Policy]:
    """The class (or factory) of that name; ConfigError lists the names if there is none."""
    return _REGISTRY.find(name)  # type: ignore[return-value]


def policy_options(name: str) -> dict[str, Any]:
    """Option -> default of a policy (the string ``"required"`` where there is none)."""
    return _REGISTRY.options(name)


def make_policy(name: str, options: Mapping[str, Any] | None = None) -> Policy:
    """The policy of that name with these options.

    Raises
    ------
    ConfigError
        For an unknown name, an unknown or missing option (the known ones are listed with their
        defaults), or a value that the policy refuses.
    """
    return _REGISTRY.make(name, options)
