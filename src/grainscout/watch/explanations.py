"""The policy's maps, from a copy of the policy in a process of its own.

The copy is made from the state that the run stores in its journal now and then, and is told what came
since; a policy that stores none is told everything.  It costs one decision of the policy a refresh, at
the lowest priority, and rests four times as long as it worked.  The run does not notice.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from grainscout.experiment import one_thread
from grainscout.journal import Batch, Header, Journal
from grainscout.policies import Policy, make_policy
from grainscout.policies.protocol import SupportsExplain
from grainscout.records import (
    GrainscoutError,
    Outcome,
    PackedState,
    PolicyError,
    pack,
    spawn_streams,
    unpack,
)
from grainscout.records.supports import SupportsState, supports

#: Longest wait for the maps [s].
PATIENCE_S = 300.0
_REST = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Thoughts:
    """What the policy thinks after `after` outcomes.

    maps : of the scan's shape, NaN where there is no candidate.
    stored : after how many outcomes the state was stored that it was made from; None if it was told all.
    seconds : that it took.  trouble : why there are no maps;  hopeless : there will never be any.
    """

    after: int
    maps: Mapping[str, NDArray[np.float32]]
    stored: int | None = None
    seconds: float = 0.0
    trouble: str = ""
    hopeless: bool = False

    @property
    def rest(self) -> float:
        """Seconds to wait before the next."""
        return _REST * self.seconds


class NoMaps(PolicyError):
    """The policy has no maps to show, or is not known."""


class Thinker:
    """The other process.  Use it as a context manager, from one thread at a time."""

    def __init__(self, path: Path, patience: float = PATIENCE_S) -> None:
        self.path = path
        self.patience = patience
        self._process: Any = None
        self._line: Any = None  # a Connection, of another class on Windows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def think(self) -> Thoughts:
        """Ask for the newest thoughts and wait for them; what goes wrong is told in ``trouble``."""
        if self._line is None:
            here, there = multiprocessing.Pipe()
            context = multiprocessing.get_context("spawn")
            self._process = context.Process(
                target=_work, args=(str(self.path), there), daemon=True, name="thoughts"
            )
            self._process.start()
            there.close()
            self._line = here
        begun = time.perf_counter()
        try:
            self._line.send_bytes(b"think")
            if self._line.poll(self.patience):
                return _unpacked(unpack(self._line.recv_bytes()))
            trouble = f"no maps within {self.patience:g} s"
        except (EOFError, OSError):
            trouble = "the process that makes the maps ended"
        self.close()
        return Thoughts(after=0, maps={}, trouble=trouble, seconds=time.perf_counter() - begun)

    def stop(self) -> None:
        """End the other process; a `think` that waits in another thread comes back."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def close(self) -> None:
        """End the other process and the line to it."""
        self.stop()
        if self._line is not None:
            self._line.close()
        self._line = self._process = None


def thoughts_of(path: Path) -> Thoughts:
    """Make the copy of the policy and ask it; PolicyError, ConfigError and the like pass."""
    with Journal.read(path) as journal:
        header = journal.header()
        batches = journal.batches()
        stored = journal.checkpoint("policy")
    outcomes = [o for b in batches for o in b.outcomes]
    policy, told = _copy(header, batches, stored)
    if not supports(policy, SupportsExplain):
        raise NoMaps("this policy shows none")
    policy.ask(1)  # the acquisition is that of a choice
    maps = {
        name: np.asarray(image, np.float32)
        for name, image in policy.explain().items()
        if np.shape(image) == header.problem.scan.shape
    }
    return Thoughts(after=len(outcomes), maps=maps, stored=told)


def _copy(
    header: Header, batches: Sequence[Batch], stored: tuple[int, PackedState] | None
) -> tuple[Policy, int | None]:
    """The policy, told everything, and after how many outcomes its state was stored."""
    spec = header.config.get("policy")
    if not isinstance(spec, Mapping):
        raise NoMaps("the journal does not name its policy: the run was begun from Python")

    def fresh() -> Policy:
        policy = make_policy(str(spec["name"]), spec.get("options", {}))
        policy.reset(header.problem, rng=spawn_streams(header.seed).policy_rng())
        return policy

    policy = fresh()
    if stored is not None and supports(policy, SupportsState):
        number, state = stored
        try:
            policy.restore(state)
        except GrainscoutError:  # of a server's policy, or of another version: tell a fresh one
            policy = fresh()
        else:
            policy.tell(_outcomes(b for b in batches if b.number > number))
            return policy, len(_outcomes(b for b in batches if b.number <= number))
    policy.tell(_outcomes(batches))
    return policy, None


def _outcomes(batches: Any) -> list[Outcome]:
    return [o for b in batches for o in b.outcomes]


def _work(path: str, line: Connection) -> None:
    """The life of the other process."""
    if hasattr(os, "nice"):
        os.nice(19)
    with one_thread():
        while True:
            try:
                line.recv_bytes()
            except (EOFError, KeyboardInterrupt):
                return
            begun = time.perf_counter()
            state: PackedState
            try:
                found = thoughts_of(Path(path))
                state = {"after": found.after, "stored": found.stored, "maps": dict(found.maps)}
            except Exception as error:  # noqa: BLE001 - a policy is foreign code; the page tells
                words = str(error) if isinstance(error, GrainscoutError) else repr(error)
                state = {"trouble": words, "hopeless": isinstance(error, NoMaps)}
            line.send_bytes(pack({**state, "seconds": time.perf_counter() - begun}))


def _unpacked(state: PackedState) -> Thoughts:
    return Thoughts(**{"after": 0, "maps": {}, **state})
