"""Maps of the policy, from a copy of it.

The copy starts from the newest policy state in the journal and learns the outcomes since. Without a
state it learns all outcomes. A refresh costs one decision of the policy at the lowest priority, and
the worker rests four times as long as it worked.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grainscout.experiment import one_thread
from grainscout.journal import Batch, Header, Journal
from grainscout.policies import Policy, make_policy
from grainscout.policies.protocol import SupportsExplain, SupportsState
from grainscout.records import GrainscoutError, Outcome, PackedState, PolicyError
from grainscout.records.supports import supports

#: Longest wait for the maps [s].
PATIENCE_S = 300.0
_REST = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """Maps of the policy after some outcomes."""

    after: int = 0  #: Number of outcomes that the copy knew
    maps: Mapping[str, NDArray[np.float32]]  #: NaN where there is no candidate
    stored: int | None = None  #: Number of outcomes in the stored state it started from
    seconds: float = 0.0  #: Time that it took [s]
    trouble: str = ""  #: Why there are no maps
    hopeless: bool = False  #: True if there will never be any

    @property
    def rest(self) -> float:
        """Seconds to wait before the next one."""
        return _REST * self.seconds


class NoMaps(PolicyError):
    """The policy has no maps or is not known."""


class ExplanationWorker(AbstractContextManager["ExplanationWorker"]):
    """Process that explains the policy, for one thread."""

    def __init__(self, path: Path, patience: float = PATIENCE_S) -> None:
        self.path = path
        self.patience = patience
        self.process: Any = None
        self._connection: Any = None  # of another class on Windows

    def __exit__(self, *_: object) -> None:
        self.close()

    def explain(self) -> Explanation:
        """Ask for the newest maps and wait."""
        if self._connection is None:
            self._connection, theirs = multiprocessing.Pipe()
            context = multiprocessing.get_context("spawn")
            self.process = context.Process(
                target=_work, args=(self.path, theirs), daemon=True, name="explanations"
            )
            self.process.start()
            theirs.close()
        begun = time.perf_counter()
        try:
            self._connection.send(None)
            if self._connection.poll(self.patience):
                explanation: Explanation = self._connection.recv()
                return explanation
            trouble = f"no maps within {self.patience:g} s"
        except (EOFError, OSError):
            trouble = "the process that makes the maps ended"
        self.close()
        return Explanation(maps={}, trouble=trouble, seconds=time.perf_counter() - begun)

    def stop(self) -> None:
        """End the process, so that a waiting `explain` returns."""
        if self.process is None:
            return
        self.process.terminate()
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def close(self) -> None:
        """End the process and the connection."""
        self.stop()
        if self._connection is not None:
            self._connection.close()
        self._connection = self.process = None


def explain_journal(path: Path) -> Explanation:
    """Explain a copy of the journal's policy."""
    with Journal.read(path) as journal:
        header = journal.header()
        batches = journal.batches()
        stored = journal.checkpoint("policy")
    policy, known = _copy(header, batches, stored)
    if not supports(policy, SupportsExplain):
        raise NoMaps("this policy shows none")
    policy.ask(1)  # the acquisition is that of a choice
    maps = {
        name: np.asarray(image, np.float32)
        for name, image in policy.explain().items()
        if np.shape(image) == header.problem.scan.shape
    }
    return Explanation(after=len(_outcomes(batches)), maps=maps, stored=known)


def _copy(
    header: Header, batches: Sequence[Batch], stored: tuple[int, PackedState] | None
) -> tuple[Policy, int | None]:
    """The policy with all outcomes, and those stored."""
    spec = header.config.get("policy")
    if not isinstance(spec, Mapping):
        raise NoMaps("the journal does not name its policy: the run was begun from Python")

    def fresh() -> Policy:
        policy = make_policy(str(spec["name"]), spec.get("options", {}))
        policy.reset(header.problem, rng=header.policy_rng())
        return policy

    policy = fresh()
    if stored is not None and supports(policy, SupportsState):
        number, state = stored
        try:
            policy.restore(state)
        except GrainscoutError:  # of a server's policy, or of another version: start a fresh one
            policy = fresh()
        else:
            policy.tell(_outcomes(b for b in batches if b.number > number))
            return policy, len(_outcomes(b for b in batches if b.number <= number))
    policy.tell(_outcomes(batches))
    return policy, None


def _outcomes(batches: Iterable[Batch]) -> list[Outcome]:
    return [o for b in batches for o in b.outcomes]


def _work(path: Path, connection: Connection[Explanation, None]) -> None:
    """Loop of the other process."""
    if hasattr(os, "nice"):
        os.nice(19)
    with one_thread():
        while True:
            try:
                connection.recv()
            except (EOFError, KeyboardInterrupt):
                return
            begun = time.perf_counter()
            try:
                explanation = explain_journal(path)
            except Exception as error:  # noqa: BLE001 - a policy is foreign code; the page shows it
                text = str(error) if isinstance(error, GrainscoutError) else repr(error)
                hopeless = isinstance(error, NoMaps)
                explanation = Explanation(maps={}, trouble=text, hopeless=hopeless)
            connection.send(replace(explanation, seconds=time.perf_counter() - begun))
