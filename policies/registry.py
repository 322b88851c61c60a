"""Policies by name: a lazy table of the built-in ones, and the entry points of third parties."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from grainscout.policies.protocol import Policy
from grainscout.policies.validation import closest
from grainscout.records import ConfigError

GROUP = "grainscout.policies"

#: name -> "module:Class" in this package; a module is imported when its policy is first wanted.
BUILTIN: Mapping[str, str] = {
    "random": "strategies.random:Random",
    "grid": "strategies.grid:Grid",
    "sobol": "strategies.space_filling:Sobol",
    "farthest-point": "strategies.space_filling:FarthestPoint",
    "shuffled-dkl": "strategies.controls:ShuffledDKL",
    "structure-only": "strategies.controls:FeatureFarthestPoint",
    "stratified-random": "strategies.controls:StratifiedRandom",
    "oracle": "strategies.controls:Oracle",
    "kriging": "strategies.kriging:Kriging",
    "structured-gp": "strategies.structured:Structured",
    "hypothesis": "strategies.hypothesis:Hypothesis",
    "beacon": "strategies.beacon:Beacon",
    "curiosity": "strategies.curiosity:Curiosity",
    "dkl": "strategies.dkl:DKL",
    "dual-novelty": "strategies.dual_novelty:DualNovelty",
    "scout": "strategies.scout:Scout",
    "boundary-dkl": "strategies.boundary:BoundaryDKL",
    "transfer-dkl": "strategies.transfer:TransferDKL",
    "co-navigation": "strategies.conavigation:CoNavigation",
}

#: name -> (class, package): other people's work behind our protocol, known where it is installed.
PEERS: Mapping[str, tuple[str, str]] = {
    "peer-atomai": ("peers.peers:PeerAtomAI", "atomai"),
    "peer-ax": ("peers.peers:PeerAx", "ax"),
    "peer-baybe": ("peers.peers:PeerBayBE", "baybe"),
    "peer-botorch": ("peers.peers:PeerBoTorch", "botorch"),
}

_REQUIRED = "required"


def peer_names() -> list[str]:
    """Names of the peers whose package is installed, sorted."""
    return sorted(n for n, (_, package) in PEERS.items() if find_spec(package) is not None)


def policy_names() -> list[str]:
    """Names that :func:`make_policy` knows, sorted: built in, installed peers, entry points."""
    return sorted([*BUILTIN, *peer_names(), *_third_party()])


def policy_class(name: str) -> type[Policy]:
    """The class (or factory) of that name; ConfigError lists the names if there is none."""
    # Installed packages are searched for names that are not our own only: it takes milliseconds.
    outside = {} if name in BUILTIN else _third_party()
    if name in PEERS and name not in peer_names():
        raise ConfigError(
            f"policy {name!r} needs the package {PEERS[name][1]!r}, which is not installed"
        )
    if name not in BUILTIN and name not in PEERS and name not in outside:
        names = policy_names()
        raise ConfigError(
            f"policy must be one of {', '.join(names)}; got {name!r}{closest(name, names)}"
        )
    try:
        if name in outside:
            found: object = outside[name].load()
        else:
            place = BUILTIN[name] if name in BUILTIN else PEERS[name][0]
            module, attribute = place.split(":")
            found = getattr(importlib.import_module(f"grainscout.policies.{module}"), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"policy {name!r} cannot be loaded: {error}. Install what it needs, or mend its entry "
            f"point in the group {GROUP!r}"
        ) from error
    if not callable(found):
        raise ConfigError(f"policy {name!r} must be a class; its entry point gives {found!r}")
    return found  # type: ignore[return-value]


def policy_options(name: str) -> dict[str, Any]:
    """Option -> default of that policy (the string ``"required"`` where there is no default)."""
    found: Any = policy_class(name)
    if dataclasses.is_dataclass(found):
        return {f.name: _default(f) for f in dataclasses.fields(found) if f.init}
    parameters = inspect.signature(found).parameters
    return {
        p.name: _REQUIRED if p.default is p.empty else p.default
        for p in parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def make_policy(name: str, options: Mapping[str, Any] | None = None) -> Policy:
    """The policy of that name with these options.

    ConfigError for an unknown name, an unknown or missing option (the known ones are listed with
    their defaults), or a value that the policy refuses.
    """
    options = dict(options or {})
    known = policy_options(name)
    listing = ", ".join(f"{k} = {v!r}" if v is not _REQUIRED else k for k, v in known.items())
    for option in options:
        if option not in known:
            raise ConfigError(
                f"policy {name!r} has no option {option!r}{closest(option, list(known))}; its "
                f"options are: {listing or 'none'}"
            )
    missing = [k for k, v in known.items() if v is _REQUIRED and k not in options]
    if missing:
        raise ConfigError(
            f"policy {name!r} must be given {', '.join(missing)}; its options are: {listing}"
        )
    return policy_class(name)(**options)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return _REQUIRED


def _third_party() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.get(point.name)
        if point.name in {**BUILTIN, **PEERS} or (other is not None and other.value != point.value):
            rival = "a built-in policy" if other is None else other.value
            raise ConfigError(
                f"policy name {point.name!r} must be unique; the entry point {point.value} and "
                f"{rival} both claim it. Uninstall or rename one of them"
            )
        found[point.name] = point
    return found
