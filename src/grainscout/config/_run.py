"""The configuration of one experiment."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grainscout.benchmarks import PolicySpec, Task
from grainscout.benchmarks._tasks import plain
from grainscout.config._toml import parse, read_toml
from grainscout.hardware import Limits
from grainscout.policies import make_policy
from grainscout.records import ConfigError


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One experiment: a task, a policy, the limits, and how the loop runs.

    seed : of film, instrument and policy (three streams).
    decision_s : charged for each decision on a simulated clock; negative charges the real time.
    """

    seed: int = 0
    task: Task
    policy: PolicySpec
    limits: Limits = field(default_factory=Limits)
    decision_s: float = 0.5
    checkpoint_every: int = 10
    max_failures: int = 10

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be >= 0; got {self.seed}")
        make_policy(self.policy.name, self.policy.options)  # a wrong option is told before the scan

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


def run_document(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain values that `parse` reads back (TOML has no null: left out)."""
    document: dict[str, Any] = plain(dataclasses.asdict(config))
    return document


def absolute(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table with the microscope's file names made absolute."""
    for key, value in table.items():
        if key in ("file", "film_file") and isinstance(value, str):
            table[key] = str((folder / value).resolve())
        elif isinstance(value, dict):
            absolute(value, folder)
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, dict):
                    absolute(entry, folder)
    return table
