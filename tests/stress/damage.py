"""Journals, what they hold, and how they come to harm."""

import os
import shutil
import signal
from pathlib import Path

from victim import tiny_task
from warm import ended

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
from grainscout.records import pack
from grainscout.records.encoding.codec import outcome_state

SEED = 5


def write_run(path, *, curves=40, killed=False):
    """A run with failures, a veto and a restored policy; `killed`: by a process that dies with it open."""
    if killed:
        ended(_write_run, path, curves, True)
        Path(f"{path}-lock").unlink(missing_ok=True)
    else:
        _write_run(path, curves, False)


def _write_run(path, curves, killed):
    environment = make_environment(
        tiny_task(curves, "reference+approach-severe", light_suns=0.1), SEED
    )
    problem = environment.problem()
    header = Header(problem=problem, config={}, seed=SEED)
    with Journal.create(path, header) as journal, journal.locked():
        journal.request("veto", id="p0003")
        settings = {"problem": problem, "seed": SEED, "journal": journal}
        Experiment(environment.microscope, make_policy("sobol"), **settings).run()
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)


def truth_of(path):
    """Its outcomes by number, exactly."""
    with Journal.read(path) as journal:
        return {n: pack(outcome_state(o)) for n, o in enumerate(journal.outcomes())}


def content(path):
    """All that a journal holds, exactly."""
    with Journal.read(path) as journal:
        header = journal.header()
        arrays = (
            header.problem.scan.height,
            header.problem.candidates,
            header.problem.waveform.voltage,
        )
        rest = (header.seed, header.config, header.created, header.versions)
        looks = (journal.proposals(), journal.events(), journal.requests())
        batches = [(b.number, b.decision_s) for b in journal.batches()]
        state = pack(dict((journal.checkpoint("microscope") or (0, {}))[1]))
        words = repr((rest, looks, batches, journal.checkpoint("policy"), state))
    return [a.tobytes() for a in arrays], words, truth_of(path)


def sound_only(path, truth):
    """(outcomes that salvage gives, those of them that are wrong)."""
    found = salvage(path)
    wrong = sum(pack(outcome_state(o)) != truth.get(n) for n, o in found.outcomes.items())
    # What is not given out must be named: as a number, or by a proposal without an answer.
    named = set(found.lost) | set(range(max(found.outcomes, default=-1) + 1, len(truth)))
    wrong += bool(set(truth) - set(found.outcomes) - named)
    return len(found.outcomes), wrong


def flip(data, rng, trial):
    """Bytes with a bit turned over, or several at each third trial."""
    data = bytearray(data)
    for at in rng.integers(0, 8 * len(data), 1 if trial % 3 else rng.integers(2, 20)).tolist():
        data[at // 8] ^= 1 << at % 8
    return data


def copy_run(source, target):
    """A journal copied as a file, with its -wal, over what SQLite left of another one."""
    for name in ("-wal", "-shm", "-journal", "-lock"):
        Path(f"{target}{name}").unlink(missing_ok=True)
    shutil.copyfile(source, target)
    if (beside := Path(f"{source}-wal")).exists():
        shutil.copyfile(beside, f"{target}-wal")


def write_campaign(path):
    """A finished campaign of a few cells, one of them failed; gives its identity."""
    policies = tuple(PolicySpec(name=n) for n in ("random", "sobol", "grid"))
    plan = Campaign(name="damage", seed=3, films=2, tasks=(tiny_task(6),), policies=policies)
    with CampaignStore(path, plan.identity()) as store:
        run_campaign(plan, store, jobs=0)
        key = min(store.finished())
        store.record(CellKey(task=key.task, film=7, policy="random"), "failed", 0.1, None, "why")
    return plan.identity()


def campaign_content(store):
    """All that a campaign's store holds: of each cell, its time and result, or why it failed."""
    cells = {key: (seconds, pack(result)) for key, seconds, result in store.payloads()}
    return {"identity": store.identity} | cells | store.failures()
