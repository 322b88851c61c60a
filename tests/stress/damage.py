"""Journals, what they hold, and how they come to harm."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
from victim import tiny_task
from warm import forked

from grainscout.benchmarks import (
    Campaign,
    CampaignStore,
    CellKey,
    PolicySpec,
    make_environment,
    run_campaign,
)
from grainscout.experiment import Experiment
from grainscout.journal import Header, Journal, salvage
from grainscout.policies import make_policy
from grainscout.records import Outcome, pack
from grainscout.records.encoding.codec import outcome_state

SEED = 5


def write_run(path: Path, *, curves: int = 40, killed: bool = False) -> None:
    """A run with failures, a veto and a restored policy; `killed`: by a process that dies with it open."""
    if killed:
        victim = forked(_write_run, path, curves, True)
        victim.join()
    else:
        _write_run(path, curves, False)


def _write_run(path: Path, curves: int, killed: bool) -> None:
    task = tiny_task(curves, "reference+approach-severe", light_suns=0.1)
    environment = make_environment(task, SEED)
    problem = environment.problem()
    header = Header(problem=problem, config={}, seed=SEED)
    with Journal.create(path, header) as journal, journal.locked():
        journal.request("veto", id="p0003")
        settings = {"problem": problem, "seed": SEED, "journal": journal}
        Experiment(environment.microscope, make_policy("sobol", {}), **settings).run()
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)


def outcome_bytes(outcome: Outcome) -> bytes:
    """An outcome, exactly."""
    return pack(outcome_state(outcome))


def content(path: Path) -> bytes:
    """All that a journal holds, exactly."""
    with Journal.read(path) as journal:
        header = journal.header()
        state = {
            "height": header.problem.scan.height,
            "candidates": header.problem.candidates,
            "voltage": header.problem.waveform.voltage,
            "seed": header.seed,
            "config": dict(header.config),
            "created": header.created,
            "versions": dict(header.versions),
            "outcomes": repr([outcome_bytes(o) for o in journal.outcomes()]),
            "proposals": repr(journal.proposals()),
            "batches": repr([(b.number, b.decision_s) for b in journal.batches()]),
            "events": repr(journal.events()),
            "requests": repr(journal.requests()),
            "policy": repr(journal.checkpoint("policy")),
            "microscope": pack(dict((journal.checkpoint("microscope") or (0, {}))[1])).hex(),
        }
    return pack(state)


def sound_only(path: Path, truth: dict[int, bytes]) -> tuple[int, int]:
    """(outcomes that salvage gives, those of them that are wrong)."""
    found = salvage(path)
    wrong = sum(outcome_bytes(o) != truth.get(n) for n, o in found.outcomes.items())
    # What is not given out must be named: as a number, or by a proposal without an answer.
    named = set(found.lost) | set(range(max(found.outcomes, default=-1) + 1, len(truth)))
    wrong += bool(set(truth) - set(found.outcomes) - named)
    return len(found.outcomes), wrong


def flip(data: bytearray, rng: np.random.Generator, bits: int = 1) -> None:
    """Turn some bits over."""
    for at in rng.integers(0, 8 * len(data), bits).tolist():
        data[at // 8] ^= 1 << at % 8


def copy_run(source: Path, target: Path, *, wal: bool = True) -> None:
    """A journal copied as a file, with or without its -wal."""
    shutil.copyfile(source, target)
    beside = Path(f"{source}-wal")
    if wal and beside.exists():
        shutil.copyfile(beside, f"{target}-wal")


def bare(target: Path) -> None:
    """Take away what SQLite left beside a file."""
    for name in ("-wal", "-shm", "-journal", "-lock"):
        Path(f"{target}{name}").unlink(missing_ok=True)


def write_campaign(path: Path) -> dict[str, object]:
    """A finished campaign of a few cells, one of them failed; gives its identity."""
    policies = tuple(PolicySpec(name=n) for n in ("random", "sobol", "grid"))
    plan = Campaign(name="damage", seed=3, films=2, tasks=(tiny_task(6),), policies=policies)
    with CampaignStore(path, plan.identity()) as store:
        run_campaign(plan, store, jobs=0)
        key = min(store.finished())
        store.record(CellKey(task=key.task, film=7, policy="random"), "failed", 0.1, None, "why")
    return plan.identity()


def campaign_content(store: CampaignStore) -> dict[object, object]:
    """All that a campaign's store holds: of each cell, its time and result, or why it failed."""
    content: dict[object, object] = {"identity": store.identity}
    content |= {key: (seconds, pack(result)) for key, seconds, result in store.payloads()}
    return content | store.failures()
