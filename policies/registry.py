"""Policies by name."""

from collections.abc import Callable, Mapping
from typing import Any

from grainscout.policies.protocol import Policy
from grainscout.records import ConfigError
from grainscout.records.registry import Registry

#: Policies of our own: name -> module and class or recipe.
BUILTIN: Mapping[str, str] = {
    "random": "grainscout.policies.strategies.random:Random",
    "grid": "grainscout.policies.strategies.grid:Grid",
    "sobol": "grainscout.policies.strategies.space_filling:Sobol",
    "farthest-point": "grainscout.policies.strategies.space_filling:FarthestPoint",
    "shuffled-dkl": "grainscout.policies.strategies.dkl:shuffled_dkl",
    "structure-only": "grainscout.policies.strategies.controls:FeatureFarthestPoint",
    "stratified-random": "grainscout.policies.strategies.controls:StratifiedRandom",
    "oracle": "grainscout.policies.strategies.controls:Oracle",
    "kriging": "grainscout.policies.strategies.dkl:kriging",
    "structured-gp": "grainscout.policies.strategies.structured:structured_gp",
    "hypothesis": "grainscout.policies.strategies.hypothesis:hypothesis",
    "beacon": "grainscout.policies.strategies.beacon:beacon",
    "curiosity": "grainscout.policies.strategies.curiosity:curiosity",
    "dkl": "grainscout.policies.strategies.dkl:dkl",
    "dual-novelty": "grainscout.policies.strategies.dual_novelty:dual_novelty",
    "map": "grainscout.policies.strategies.map:map_",
    "scout": "grainscout.policies.strategies.scout:scout",
    "boundary-dkl": "grainscout.policies.strategies.boundary:boundary_dkl",
    "transfer-dkl": "grainscout.policies.strategies.transfer:transfer_dkl",
    "policy-search": "grainscout.policies.strategies.policy_search:PolicySearch",
    "co-navigation": "grainscout.policies.strategies.conavigation:co_navigation",
}

#: Other packages' work behind our protocol: name -> package, known where it is installed.
PEERS: Mapping[str, str] = {
    "peer-atomai": "atomai",
    "peer-ax": "ax",
    "peer-baybe": "baybe",
    "peer-botorch": "botorch",
    "peer-botorch-robust": "botorch",
    "peer-gpcam": "gpcam",
}
_PEER_CLASSES = {
    "peer-atomai": "grainscout.policies.peers.atomai:peer_atomai",
    "peer-ax": "grainscout.policies.peers.ax:PeerAx",
    "peer-baybe": "grainscout.policies.peers.baybe:PeerBayBE",
    "peer-botorch": "grainscout.policies.peers.botorch:peer_botorch",
    "peer-botorch-robust": "grainscout.policies.peers.botorch:peer_botorch_robust",
    "peer-gpcam": "grainscout.policies.peers.gpcam:PeerGpCAM",
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


def policy_class(name: str) -> Callable[..., Policy]:
    """The class, recipe or function of that name. ConfigError lists the names if there is none."""
    return _REGISTRY.find(name)


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
    never = getattr(policy_class(name), "never", ())
    if idle := [option for option in options or {} if option in never]:
        raise ConfigError(
            f"policy {name!r} has no option {idle[0]!r} any more, because it never did anything "
            "there. Leave it out: the run is the same"
        )
    return _REGISTRY.make(name, options)
