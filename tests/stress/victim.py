"""`grainscout run` in a process that is going to be killed, with a log of what it did to the world."""

import contextlib
import hashlib
import os
import signal
import sys

from interrupts import trajectory

import grainscout.cli
import grainscout.journal.journal as journal_module
from grainscout.benchmarks import MicroscopeSpec, Task, WaveformSpec
from grainscout.experiment import Experiment
from grainscout.policies import policy_names

SEED = 7
CURVES = 12
_EXPERIMENT = """
seed = {seed}
checkpoint_every = 3
[task]
light_suns = 0.1
curves = {curves}
batch = {batch}
microscope = {{ film = "tiny", instrument = "reference" }}
waveform = {{ samples = 51 }}
[policy]
name = "{policy}"
"""

#: Every policy that can run an experiment by itself. The oracle is given the truth, in campaigns only;
#: the peers are other people's work.
POLICIES = tuple(n for n in policy_names() if n != "oracle" and not n.startswith("peer-"))


def experiment_file(folder, policy, *, batch=1):
    """A small experiment on the film that is warm, in a new folder."""
    folder.mkdir()
    text = _EXPERIMENT.format(seed=SEED, policy=policy, batch=batch, curves=CURVES)
    (folder / "run.toml").write_text(text)
    return folder / "run.toml"


def name_of(outcome):
    """The proposal of an outcome; a second look, which has none, by its site and visit."""
    row, column = map(int, outcome.site)
    return outcome.proposal_id or f"look:{row},{column},{outcome.visit}"


def tiny_task(curves, instrument="reference", **others):
    """A task on the film that is warm."""
    spec = MicroscopeSpec(film="tiny", instrument=instrument)
    return Task(microscope=spec, waveform=WaveformSpec(samples=51), curves=curves, **others)


def digest(outcome):
    """Everything of an outcome that must not change."""
    return hashlib.sha256(repr(trajectory([outcome])).encode()).hexdigest()[:16]


class Log:
    """One line for each act, in the kernel's hands before the act is done: no kill takes it back."""

    def __init__(self, path, kill_at):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._left = dict(kill_at)

    def write(self, kind, *words):
        os.write(self._file, " ".join(map(str, (kind, *words))).encode() + b"\n")
        self.count(kind)

    def count(self, kind):
        """Count an act; the one that was chosen is the last."""
        self._left[kind] = self._left.get(kind, 0) - 1
        if self._left[kind] == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _Passing:
    """Everything that is not overridden is the inner one's."""

    def __init__(self, inner, log):
        self._inner, self._log = inner, log

    def __getattr__(self, name):
        return getattr(self._inner, name)


class LoggedPolicy(_Passing):
    """Logs what the policy is told: that is what was acknowledged."""

    def tell(self, outcomes):
        for outcome in outcomes:
            self._log.write("told", name_of(outcome), digest(outcome))
        self._inner.tell(outcomes)


class LoggedMicroscope(_Passing):
    """Logs what reaches the microscope behind the guard."""

    def measure(self, site, waveform):
        self._log.write("measure", *map(int, site))
        curve = self._inner.measure(site, waveform)
        self._log.count("measured")
        return curve


def run(folder, words, kill_at):
    """`grainscout run <words>` in `folder`.

    kill_at : how many of an act are done before SIGKILL comes: "told" (before the policy knows),
        "measure" (before), "measured" (after), "statement" (each of SQL, before it is carried out).
    """
    os.chdir(folder)
    log = Log(folder / "log", kill_at)
    begin, connect, create = Experiment.__init__, journal_module.connect, journal_module.create

    def logged(self, microscope, policy, **settings):
        microscope.microscope = LoggedMicroscope(microscope.microscope, log)
        begin(self, microscope, LoggedPolicy(policy, log), **settings)

    def counted(opening):
        def opened(*args, **kwargs):
            db = opening(*args, **kwargs)
            db.set_trace_callback(lambda _: log.count("statement"))
            return db

        return opened

    Experiment.__init__ = logged
    journal_module.connect, journal_module.create = counted(connect), counted(create)
    sys.argv = ["grainscout", "run", *words]
    with open("said", "a") as said, contextlib.redirect_stdout(said):
        os.dup2(said.fileno(), 2)
        grainscout.cli.main()
