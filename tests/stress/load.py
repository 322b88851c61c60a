"""A whole day on the simulated clock, in a process of its own: what it needs of memory and disk."""

import gc
import json
import time
from dataclasses import replace

import numpy as np
from samples import curve_of
from victim import SEED, tiny_task

from grainscout.benchmarks import make_environment
from grainscout.experiment import Experiment
from grainscout.hardware.remote.memory import resident
from grainscout.journal import Header, Journal
from grainscout.journal.journal import insert
from grainscout.journal.rows import outcome_row, proposal_row
from grainscout.records import Outcome, Proposal, Site

SAMPLES = 51


class Wanderer:
    """A policy that remembers nothing: any candidate, again and again."""

    def reset(self, problem, *, rng):
        self.problem, self.rng, self.asked = problem, rng, 0

    def ask(self, n=1):
        self.asked += 1
        row, column = self.problem.candidates[self.rng.integers(len(self.problem.candidates))]
        return [Proposal(id=f"w{self.asked:06d}", site=Site(int(row), int(column)))]

    def tell(self, outcomes):
        pass


def day(folder, curves):
    """A run of `curves` measurements; `report.json` has memory [bytes] and time [s] along the way."""
    environment = make_environment(tiny_task(curves, light_suns=0.1), SEED)
    problem = environment.problem()
    memory, seconds, began = [], [], time.perf_counter()

    def watch(step):
        if (step.number + 1) % (curves // 10) == 0:
            gc.collect()
            memory.append(resident())
            seconds.append(time.perf_counter() - began)

    path = folder / "day.gsj"
    with Journal.create(path, Header(problem=problem, config={}, seed=SEED)) as journal:
        settings = {"seed": SEED, "journal": journal, "decision_seconds": 2.5, "observe": watch}
        Experiment(environment.microscope, Wanderer(), problem=problem, **settings).run()
    report = {"memory": memory, "seconds": seconds, "bytes": path.stat().st_size}
    report["clock_s"] = environment.microscope.clock.now()
    (folder / "report.json").write_text(json.dumps(report))


def big_journal(path, curves, ended=True):
    """A journal of so many curves, row for row what a run writes, but in one commit."""
    problem = make_environment(tiny_task(1), SEED).problem()
    wave, rng = problem.waveform, np.random.default_rng(1)
    with Journal.create(path, Header(problem=problem, config={}, seed=SEED)) as journal:
        with journal._commit(durable=False) as db:
            for k in range(curves):
                site = Site(8 + k % 30, 8 + k // 30 % 30)
                current = 1e-9 * rng.standard_normal(len(wave))
                proposal = Proposal(id=f"p{k:06d}", site=site)
                about = {"proposal_id": proposal.id, "started": 4.0 * k, "finished": 4.0 * k + 3.5}
                outcome = Outcome(site=site, status="ok", curve=curve_of(wave, current), **about)
                insert(db, "batches", k, 0.01)
                insert(db, "proposals", *proposal_row(proposal, k, k))
                insert(db, "outcomes", *outcome_row(outcome, k, k))
        journal.record_event("start", 0.0, wear=0.0)
        if ended:
            journal.record_event("end", 4.0 * curves, reason="budget")


def added_to(journal, outcome, number):
    """One more measurement like `outcome`, committed as a run commits it."""
    proposal = Proposal(id=f"p{number:06d}", site=outcome.site)
    journal.record_batch(number, [proposal], 0.01)
    now = {"started": outcome.finished + 0.5, "finished": outcome.finished + 4.0}
    journal.record_outcome(number, replace(outcome, proposal_id=proposal.id, **now), None)


def predicted_bytes(curves, samples, scan_bytes):
    """Size of a journal: a curve is three arrays of 8 bytes a sample, in pages of 4096 bytes.

    A row of 24 bytes a sample and 380 more fills its page as whole rows; what is longer than a page goes
    on in pages of its own.  Batch, proposal, their indices and events take 400 bytes a curve.
    """
    row = 24 * samples + 380
    if row <= 4061:
        own = 4096 / (4088 // (row + 2))
    else:
        least = 489 + (row - 489) % 4092
        local = least if least <= 4061 else 489
        own = 4096 / (4088 // (local + 2)) + 4096 * -(-(row - local) // 4092)
    return round(curves * (own + 400)) + scan_bytes
