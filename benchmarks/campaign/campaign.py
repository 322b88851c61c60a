"""Campaigns: tasks x policies x films, and the rule that stops their comparisons."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import grainscout
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.campaign.twins import TWINS, UNTAUGHT
from grainscout.benchmarks.tasks.task import PolicySpec, Task, plain
from grainscout.records import ConfigError, one_of

#: Settings that bound a cell, and all that change no result.
_BOUNDS = ("cell_timeout_s", "cell_memory_GiB")
_NO_RESULT = (*_BOUNDS, "isolate")

#: Policy whose score is 0.
BASELINE = "random"


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Rule that stops the comparisons of a campaign once they are decided."""

    first_films: int = 4  #: Films of every task before the first test
    #: Films from test to test. A block is run to its end before the next begins: on a cluster,
    #: choose blocks of at least as many cells as there are workers.
    block_films: int = 2
    #: Chance of any wrong decision in the whole campaign, however often it is tested.
    error: float = 0.05
    #: Policy that all others are compared with. Without one every pair is compared.
    against: str = ""

    def __post_init__(self) -> None:
        if self.first_films < 2:
            raise ConfigError(
                f"stopping first_films must be at least 2, one film decides nothing; "
                f"got {self.first_films}"
            )
        if self.block_films < 1:
            raise ConfigError(f"stopping block_films must be at least 1; got {self.block_films}")
        if not 0 < self.error < 0.5:
            raise ConfigError(f"stopping error must lie within 0 to 0.5; got {self.error}")


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Tasks x policies x films."""

    #: name, description: Words for people.
    name: str
    description: str = ""
    seed: int = 0  #: Film k of every task is made from (seed, k)
    films: int = 3  #: Films (seeds) of each task. Policies meet the same films and noise.
    tasks: tuple[Task, ...] = ()  #: Tasks, each under an id of its own
    policies: tuple[PolicySpec, ...] = ()  #: Policies, each under a title of its own
    #: cell_timeout_s, cell_memory_GiB: Time [s] and memory [GiB] that one cell may take in a worker
    #: process; 0 is no bound. They change no result, and may differ when a campaign is resumed.
    cell_timeout_s: float = 600.0
    cell_memory_GiB: float = 4.0
    isolate: bool = False  #: Run each policy in a process of its own, which never holds the film
    #: When to stop comparisons. Without it every policy runs on every film.
    stopping: Stopping | None = None

    def __post_init__(self) -> None:
        if self.films < 1:
            raise ConfigError(f"campaign films must be at least 1; got {self.films}")
        if self.seed < 0:
            raise ConfigError(f"campaign seed must be >= 0; got {self.seed}")
        for name in _BOUNDS:
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(
                    f"campaign {name} must be a finite number >= 0, 0 for no bound; "
                    f"got {getattr(self, name)}"
                )
        self._check_names("task", [t.id for t in self.tasks])
        self._check_names("policy", [p.title for p in self.policies])
        against = self.stopping.against if self.stopping is not None else ""
        # Looked up where it matters only: a peer's package may be absent.
        fair = [p.title for p in self.policies if against and not p.uses_truth]
        if against and against not in fair:
            raise ConfigError(
                f"stopping against must be a policy of the campaign that is not given the truth "
                f"({', '.join(fair)}); got {against!r}"
            )
        needing = [t.id for t in self.tasks if not t.counts_curves]
        if needing and not any(p.title == p.name == BASELINE for p in self.policies):
            raise ConfigError(
                f"campaign {self.name!r} must have the policy {BASELINE!r}, without a label: its pace "
                f"is the zero of every goal under a budget of seconds or wear. Add it; {needing[0]!r} "
                "needs it"
            )

    def _check_names(self, what: str, names: list[str]) -> None:
        if not names:
            raise ConfigError(f"campaign {self.name!r} must have at least one {what}; got none")
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ConfigError(f"campaign {what} names must be unique; got {twice[0]!r} twice")

    def task(self, id_: str) -> Task:
        """Return the task of that id. ConfigError lists the ids if there is none."""
        known = {t.id: t for t in self.tasks}
        one_of("task", id_, known)
        return known[id_]

    def with_tasks(self, *tasks: Task) -> "Campaign":
        """Return the campaign with more tasks."""
        return dataclasses.replace(self, tasks=(*self.tasks, *tasks))

    def with_policies(self, *policies: PolicySpec) -> "Campaign":
        """Return the campaign with more policies. Those that it has stay as they are."""
        known = {p.title for p in self.policies}
        more = [p for p in policies if p.title not in known]
        return dataclasses.replace(self, policies=(*self.policies, *more))

    def with_controls(self) -> "Campaign":
        """Return the campaign with the twins of every policy that learns, and the image alone."""
        taught = [p for p in self.policies if p.name not in UNTAUGHT and not p.twin]
        twins = [
            PolicySpec(name=p.name, label=f"{p.title} {t}", options=p.options, twin=t)
            for p in taught
            for t in TWINS
        ]
        return self.with_policies(PolicySpec(name="structure-only"), *twins)

    def identity(self) -> dict[str, Any]:
        """Return plain values that identify the campaign and the version that runs it."""
        campaign = plain(self, stored=True)
        for name in _NO_RESULT:
            del campaign[name]
        return {"campaign": campaign, "grainscout": grainscout.__version__}

    def cells(self) -> list[CellKey]:
        """List all cells, film by film: an interrupted campaign is whole as far as it went.

        Cells on one film of a task are neighbours, so that a worker makes it once. A replayed
        recording is the same for every seed, but policies are not: it has as many cells.
        """
        return [
            CellKey(task=task.id, film=film, policy=policy.title)
            for film in range(self.films)
            for task in self.tasks
            for policy in self.policies
        ]
