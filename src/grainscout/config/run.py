"""The configuration of one experiment."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grainscout.benchmarks import PolicySpec, Task
from grainscout.benchmarks.tasks.task import plain
from grainscout.config.toml import parse, read_toml
from grainscout.hardware import Limits, Microscope
from grainscout.hardware.registry import renamed_options
from grainscout.policies import Policy, make_policy
from grainscout.records import ConfigError


@dataclass(frozen=True, kw_only=True)
class LinkSpec:
    """A policy that runs on another machine, behind ``grainscout serve``.

    address : such as ``tcp://gpu.lab:5571``;  keys : this client's folder of ``grainscout keys``.
    fallback : when the server is lost, go on with the experiment's own [policy] instead of waiting.
    patience_s : how long to wait for a lost server, tip parked, before the run ends.
    timeout_s : longest decision of a living server.
    """

    address: str
    keys: Path | None = None
    fallback: bool = False
    patience_s: float = 3600.0
    timeout_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One experiment: a task, a policy, the limits, and how the loop runs.

    seed : of film, instrument and policy (three streams).
    link : where the policy runs, if elsewhere; [policy] is then what the server is expected to serve, and
        the fallback.
    decision_s : charged for each decision on a simulated clock; negative charges the real time.
    """

    seed: int = 0
    task: Task
    policy: PolicySpec
    limits: Limits = field(default_factory=Limits)
    link: LinkSpec | None = None
    decision_s: float = 0.5
    checkpoint_every: int = 10
    max_failures: int = 10

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be >= 0; got {self.seed}")
        if not math.isfinite(self.decision_s):
            raise ConfigError(f"decision_s must be finite [s]; got {self.decision_s}")
        for name in ("checkpoint_every", "max_failures"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.policy.uses_truth:
            raise ConfigError(
                f"policy {self.policy.name!r} is a control that is told the truth; it runs in campaigns "
                "only"
            )
        make_policy(self.policy.name, self.policy.options)  # a wrong option is told before the scan

    @contextmanager
    def open_policy(self, microscope: Microscope) -> Iterator[Policy]:
        """The policy, connected if it is remote; a lost server parks `microscope`."""
        own = make_policy(self.policy.name, self.policy.options)
        if self.link is None:
            yield own
            return
        from grainscout.hardware.remote import RemotePolicy

        with RemotePolicy(
            self.link.address,
            keys=self.link.keys,
            fallback=own if self.link.fallback else None,
            patience=self.link.patience_s,
            timeout=self.link.timeout_s,
            on_lost=microscope.park,
        ) as remote:
            yield remote

    def loop_settings(self) -> dict[str, Any]:
        """Keyword arguments of ``Experiment``."""
        return {
            "batch": self.task.batch,
            "decision_seconds": None if self.decision_s < 0 else self.decision_s,
            "checkpoint_every": self.checkpoint_every,
            "max_failures": self.max_failures,
        }


def load_run(path: Path) -> RunConfig:
    """The experiment of a TOML file; paths in it are relative to the file's folder."""
    return parse(RunConfig, absolute(read_toml(path), path.parent), str(path))


def run_of_journal(config: Mapping[str, Any], where: str) -> RunConfig:
    """Read the configuration that a journal holds; microscope options may have earlier names."""
    document = copy.deepcopy(dict(config))
    microscope = document.get("task", {}).get("microscope", {})
    if "options" in microscope:
        microscope["options"] = renamed_options(microscope["options"])
    return parse(RunConfig, document, where)


def run_document(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain values that `parse` reads back (TOML has no null: left out)."""
    document: dict[str, Any] = plain(dataclasses.asdict(config))
    return document


def absolute(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table with the microscope's file names made absolute."""
    for key, value in table.items():
        if key in ("file", "film_file", "keys") and isinstance(value, str):
            table[key] = str((folder / value).resolve())
        elif isinstance(value, dict):
            absolute(value, folder)
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, dict):
                    absolute(entry, folder)
    return table
