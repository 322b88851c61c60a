"""The configuration of a campaign."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from grainscout.benchmarks import Campaign
from grainscout.config._run import absolute
from grainscout.config._toml import parse, read_toml
from grainscout.policies import make_policy
from grainscout.records import ConfigError


def builtin_campaigns() -> dict[str, Path]:
    """Names and files of the campaigns that come with Grainscout."""
    folder = Path(str(files("grainscout.benchmarks") / "campaigns"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_campaign(name: str) -> Campaign:
    """A campaign by name, or from a TOML file.

    The file has ``[[task]]`` and ``[[policy]]`` tables; a ``[defaults]`` table holds what its tasks
    share.  Paths in it are relative to the file's folder.
    """
    known = builtin_campaigns()
    path = known.get(name, Path(name))
    if not path.suffix and name not in known:
        raise ConfigError(
            f"campaign must be a TOML file or one of {', '.join(known)}; got {name!r}"
        )
    table = absolute(read_toml(path), path.parent)
    defaults = table.pop("defaults", {})
    table["tasks"] = [_merged(defaults, task) for task in _tables(table, "task", path)]
    table["policies"] = _tables(table, "policy", path)
    campaign = parse(Campaign, table, str(path))
    for policy in campaign.policies:
        make_policy(policy.name, policy.options)
    return campaign


def _tables(table: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    found = table.pop(key, [])
    if not isinstance(found, list) or not all(isinstance(t, dict) for t in found):
        raise ConfigError(f"{path}: {key} must be tables headed [[{key}]]; got {found!r}")
    return found


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = _merged(below, value) if both and below is not None else value
    return merged
