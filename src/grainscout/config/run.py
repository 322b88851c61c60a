"""The configuration of one experiment."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grainscout.benchmarks import PolicySpec, Task
from grainscout.benchmarks.tasks.task import later_field, plain, with_paths
from grainscout.config.toml import parse, read_toml
from grainscout.experiment import DriftSettings
from grainscout.experiment.evidence import MAX_SPOILT
from grainscout.hardware import Limits, Microscope
from grainscout.policies import Policy, make_policy
from grainscout.records import ConfigError


@dataclass(frozen=True, kw_only=True)
class LinkSpec:
    """Policy on another machine, behind ``grainscout serve``."""

    address: str  #: Address of the server, such as ``tcp://gpu.lab:5571``
    keys: Path | None = None  #: Folder of this client's ``grainscout keys``
    #: When the server is lost, go on with the experiment's own [policy] instead of waiting.
    fallback: bool = False
    #: Longest wait for a lost server, tip parked, before the run ends [s].
    patience_s: float = 3600.0
    timeout_s: float = 600.0  #: Longest decision of a living server [s]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One experiment: a task, a policy, the limits, and settings of the loop."""

    seed: int = 0  #: Seed of film, instrument and policy (three streams)
    task: Task  #: What is measured, and where
    #: Who chooses the sites. With `link` it is what the server is expected to serve, and the
    #: fallback
    policy: PolicySpec
    limits: Limits = field(default_factory=Limits)  #: What the guard refuses beyond
    link: LinkSpec | None = None  #: Where the policy runs, if elsewhere
    #: Time charged for each decision on a simulated clock [s]. A negative one charges the real time
    decision_s: float = 0.5
    checkpoint_every: int = 10  #: Measurements between stored states of the policy
    max_failures: int = 10  #: Failed measurements in a row that end the run
    #: Judge each curve as it comes. Without it there is no second look
    judge: bool = later_field(True)
    #: Share of unusable curves among the latest 20 that ends the run
    max_spoilt: float = later_field(MAX_SPOILT)
    drift: DriftSettings | None = None  #: How sites follow a drifting sample

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be >= 0; got {self.seed}")
        if not math.isfinite(self.decision_s):
            raise ConfigError(f"decision_s must be finite [s]; got {self.decision_s}")
        for name in ("checkpoint_every", "max_failures"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}")
        if not 0.0 < self.max_spoilt <= 1.0:
            raise ConfigError(f"max_spoilt must be in (0, 1]; got {self.max_spoilt}")
        if self.policy.uses_truth:
            raise ConfigError(
                f"policy {self.policy.name!r} is a control that is given the truth; it runs in campaigns "
                "only"
            )
        policy = make_policy(self.policy.name, self.policy.options)  # refused before the scan
        if self.task.stop is not None:
            self.task.stop.checked(policy)

    @contextmanager
    def open_policy(self, microscope: Microscope) -> Iterator[Policy]:
        """Open the policy, connected if it is remote. A lost server parks the microscope."""
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
        """Return the keyword arguments of ``Experiment``."""
        return {
            "batch": self.task.batch,
            "decision_seconds": None if self.decision_s < 0 else self.decision_s,
            "checkpoint_every": self.checkpoint_every,
            "max_failures": self.max_failures,
            "judge": self.judge,
            "max_spoilt": self.max_spoilt,
            "second_look": self.task.second_look,
            "stop": self.task.stop,
            "drift": self.drift,
        }


def load_run(path: Path) -> RunConfig:
    """Read the experiment of a TOML file. Paths in it are relative to the file's folder."""
    return parse(RunConfig, absolute(read_toml(path), path.parent), str(path))


def run_document(config: RunConfig) -> dict[str, Any]:
    """Write a configuration as the plain values that journals hold and `parse` reads back."""
    document: dict[str, Any] = plain(config, stored=True)
    return document


def absolute(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the file names of a table absolute."""
    changed: dict[str, Any] = with_paths(table, lambda name: str((folder / name).resolve()))
    return changed
