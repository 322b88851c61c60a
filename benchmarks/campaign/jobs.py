"""A cell and its result as JSON and packed bytes, over a pipe or a network."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

import grainscout
from grainscout.benchmarks.campaign.store import CellKey
from grainscout.benchmarks.tasks.task import PolicySpec, Task
from grainscout.records import ConfigError


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell with all that it takes to run it, anywhere."""

    key: CellKey  #: The cell
    #: task, policy, seed: Its settings. Without a policy the result is the anchors of the film.
    task: Task
    policy: PolicySpec | None
    seed: int
    anchors: dict[str, Any] | None = None  #: Anchors of the film, where they are known
    #: timeout_s, memory_GiB: Bounds [s], [GiB]; 0 is none.
    timeout_s: float = 0.0
    memory_GiB: float = 0.0
    isolate: bool = False  #: The policy gets a process of its own
    campaign: str = ""  #: Mark of the run of a campaign that asks
    version: str = grainscout.__version__  #: Version of Grainscout where the campaign is run from

    def to_json(self) -> str:
        """Write it as text. ConfigError if a policy's option is not a plain value."""
        return json.dumps(dataclasses.asdict(self), default=_path)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Read the job of a text."""
        return TypeAdapter(cls).validate_json(text, strict=True)


def _path(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise ConfigError(
        f"a policy's options must be plain values to be sent to a worker; got {value!r}. With jobs = 0 "
        "the cells run in this process"
    )


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """Packed result of a finished cell, or the error of a failed one."""

    status: str
    seconds: float
    payload: bytes | None = None
    error: str = ""


def receive(stream: IO[bytes]) -> bytes | None:
    """Read a message: 8 bytes of length, big endian, and as many. None when the other end is gone."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "big")
    body = stream.read(size)
    return body if len(body) == size else None


def send(stream: IO[bytes], body: bytes) -> None:
    """Write a message."""
    stream.write(len(body).to_bytes(8, "big") + body)
    stream.flush()
