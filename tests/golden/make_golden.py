"""Make the golden files beside this script anew, from the Grainscout that is installed.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 python tests/golden/make_golden.py

They say what Grainscout gave before its modules were moved: make them anew only when a result is meant
to change, and say in the commit which one and why.  Journals and stores are SQLite files, compressed
because a journal is mostly air; times of the day in them differ from one making to the next.
"""

import ast
import dataclasses
import importlib
import json
import lzma
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_origin

import numpy as np
import pandas as pd
import typer
from golden_rig import (
    CHECKPOINT_EVERY,
    HERE,
    LIGHT,
    SEED,
    WAVE,
    columns,
    course,
    digest,
    film_digests,
    first_curve,
    machine,
    policy_of,
    problem_of,
    small_film,
    stage,
    trajectory,
    unpacked,
)

import grainscout
from grainscout.analysis.descriptors import DESCRIPTORS, describe
from grainscout.benchmarks import (
    CampaignStore,
    load,
    make_environment,
    run_campaign,
    tasks,
)
from grainscout.cli import app
from grainscout.config import builtin_campaigns, load_campaign, load_run, run_document
from grainscout.experiment import REQUESTS, Experiment
from grainscout.hardware import microscope_names
from grainscout.journal import Header, Journal
from grainscout.policies import make_policy, policy_names, policy_options, transfer
from grainscout.records import spawn_streams
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.instrument import FAULT_LADDERS, INSTRUMENTS

NAMES = [name for name in policy_names() if not name.startswith("peer-")]
DEATHS = (
    ("record_outcome", 11, False),
    ("record_outcome", 12, True),
    ("record_batch", 12, True),
    ("record_policy", 4, False),
)


class Interrupted(Exception):
    """Stands for a process that dies."""


class DiesAfter:
    """A journal that dies just before or just after its k-th commit of a kind."""

    def __init__(self, journal, method, k, after):
        self._journal, self._method, self._left, self._after = journal, method, k, after

    def __getattr__(self, name):
        inner = getattr(self._journal, name)
        if name != self._method:
            return inner

        def dying(*args, **kwargs):
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Interrupted
            inner(*args, **kwargs)
            if self._left == 0:
                raise Interrupted

        return dying


def write(name, values):
    """A JSON file with a line an entry."""
    entries = (
        [f"{_json(k)}:{_json(v)}" for k, v in values.items()]
        if isinstance(values, dict)
        else [_json(v) for v in values]
    )
    first, last = "{}" if isinstance(values, dict) else "[]"
    text = f"{first}\n" + ",\n".join(entries) + f"\n{last}\n"
    (HERE / f"{name}.json").write_text(text, encoding="utf-8")


def _json(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def keep(path):
    packed = lzma.compress(Path(path).read_bytes(), preset=9 | lzma.PRESET_EXTREME)
    (HERE / f"{Path(path).name}.xz").write_bytes(packed)


def films(folder):
    """film.h5 and what is in it; what films and instruments give from their seeds."""
    spec = dataclasses.replace(PRESETS["s26"], rows=24, columns=24)
    Film.generate(spec, spawn_streams(SEED).film).save(folder / "film.h5")
    keep(folder / "film.h5")
    film = Film.load(folder / "film.h5")
    current, _ = film.curves(np.argwhere(np.ones(film.shape, bool)), WAVE, light=LIGHT)
    write(
        "film",
        {
            "stored": film_digests(film),
            "parameters": {name: digest(a) for name, a in sorted(film.parameters.items())},
            "presets": {name: film_digests(small_film(name)) for name in PRESETS},
            "instruments": {
                name: digest(first_curve(film, name)) for name in (*INSTRUMENTS, *FAULT_LADDERS)
            },
            "descriptors": {
                name: digest(describe(name, WAVE.voltage, current).value) for name in DESCRIPTORS
            },
        },
    )
    return film


def policies(film):
    """first.knowledge and the course of every policy."""
    scope = stage(film, "quiet")
    problem = problem_of(scope, 20)
    run = Experiment(scope, make_policy("random", {}), problem=problem, seed=SEED + 1).run()
    transfer(problem, run.outcomes)["source"].save(HERE / "first.knowledge")
    chosen = [(name, {}, batch) for name in NAMES for batch in (1, 4)]
    chosen += [
        (name, {"seed_points": 4}, 1) for name in NAMES if "seed_points" in policy_options(name)
    ]
    chosen.append(("transfer-dkl", {"source": "first.knowledge"}, 1))
    cases = [{"policy": p, "options": o, "batch": b, "curves": 16} for p, o, b in chosen]
    write("policies", [{**case, **course(case, film)} for case in cases])


def journals(film, folder):
    """An interrupted journal of every policy, and the trajectory of the uninterrupted run."""
    cases = [
        {"policy": name, "options": {}, "batch": 1 if k % 4 else 4, "instrument": "reference"}
        for k, name in enumerate(NAMES)
    ]
    cases.append({**cases[NAMES.index("random")], "batch": 1, "instrument": "all-severe"})
    kept = {}
    for k, case in enumerate(cases):
        name = f"{case['policy']}{'' if k < len(NAMES) else '-faults'}.gsj"
        scope = stage(film, case["instrument"])
        problem = problem_of(scope, 20)
        settings = {"batch": case["batch"], "checkpoint_every": CHECKPOINT_EVERY, "seed": SEED}
        policy = policy_of(case, film, problem)
        whole = Experiment(scope, policy, problem=problem, **settings).run()
        kept[name] = {**case, "trajectory": trajectory(whole.outcomes)}
        scope = stage(film, case["instrument"])
        header = Header(problem=problem_of(scope, 20), config={}, seed=SEED)
        method, count, after = DEATHS[k % len(DEATHS)]
        if case["batch"] > 1 and method != "record_outcome":
            method, count = "record_outcome", 11
        with Journal.create(folder / name, header, scope.state()) as journal:
            dying = DiesAfter(journal, method, count, after)
            policy = policy_of(case, film, problem)
            die(Experiment(scope, policy, problem=header.problem, journal=dying, **settings))
            kept[name]["measured"] = journal.count()
        keep(folder / name)
    write("journals", kept)


def die(experiment):
    try:
        experiment.run()
    except Interrupted:
        return
    raise SystemExit("the run was not interrupted")


def command_line(folder):
    """The journal of an experiment file, interrupted, and the trajectory of the whole run."""
    settings = load_run(HERE / "experiment.toml")
    whole, parts = [], folder / "experiment.gsj"
    for interrupted in (False, True):
        bench = make_environment(settings.task, settings.seed, settings.limits)
        problem = bench.problem()
        header = Header(problem=problem, config=run_document(settings), seed=settings.seed)
        policy = make_policy(settings.policy.name, settings.policy.options)
        rest = {"problem": problem, "seed": settings.seed, **settings.loop_settings()}
        if not interrupted:
            whole = Experiment(bench.microscope, policy, **rest).run().outcomes
            continue
        with Journal.create(parts, header, bench.microscope.state()) as journal:
            dying = DiesAfter(journal, "record_outcome", 12, False)
            die(Experiment(bench.microscope, policy, journal=dying, **rest))
    keep(parts)
    write("experiment", trajectory(whole))


def campaigns(folder):
    """Tables of the smoke campaign; a store with finished, failed and missing cells, and its end."""
    out = folder / "smoke"
    call = [sys.executable, "-m", "grainscout.cli", "bench", "smoke", "--jobs", "0"]
    subprocess.run([*call, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    write(
        "smoke",
        {
            **{t: columns(pd.read_parquet(out / f"{t}.parquet")) for t in ("table", "maps")},
            **{f: (out / f).read_text("utf-8") for f in ("leaderboard.md", "winner.toml")},
        },
    )
    plan = load_campaign(str(HERE / "campaign.toml"))
    path, ended = folder / "campaign.sqlite", []

    def stop(key, status, error):
        ended.append(key)
        if len(ended) == 3:
            raise Interrupted

    with CampaignStore(path, plan.identity()) as store:
        try:
            run_campaign(plan, store, progress=stop)
        except Interrupted:
            store.record(ended[-1], "failed", 1.0, None, "the worker was killed")
    keep(path)
    half = unpacked(path.name, folder / "smoke")
    with CampaignStore(half, plan.identity()) as store:
        run_campaign(plan, store)
    loaded = load(half)
    finished = [[k.task, k.film, k.policy] for k in ended[:-1]]
    tables = {"table": columns(loaded.frame), "maps": columns(loaded.more["maps"])}
    write("campaign", {"finished": finished, **tables})


def public_names():
    """Public names of every module without a leading underscore: its __all__, or what it defines, and
    what it serves when asked."""
    found = {"grainscout": ["__version__"]}
    for info in pkgutil.walk_packages(grainscout.__path__, "grainscout."):
        if any(part.startswith("_") for part in info.name.split(".")):
            continue
        module = importlib.import_module(info.name)
        body = ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        names = {
            *(getattr(module, "__all__", None) or defined(module, body)),
            *served(module, body),
        }
        found[info.name] = sorted(names)
        lacking = [name for name in names if not hasattr(module, name)]
        if lacking:
            raise SystemExit(f"{info.name} has no {', '.join(lacking)}")
    return found


def defined(module, body):
    """Names that its text defines, but for short names of array types."""
    names = []
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return [
        name
        for name in dict.fromkeys(names)
        if not name.startswith("_") and get_origin(getattr(module, name)) is not np.ndarray
    ]


def served(module, body):
    """Names that its `__getattr__` spells out and that are in no `__all__`."""
    getters = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == "__getattr__"]
    words = [n.value for g in getters for n in ast.walk(g) if isinstance(n, ast.Constant)]
    return [w for w in words if isinstance(w, str) and w.isidentifier() and hasattr(module, w)]


def known():
    """What files and command lines can name."""
    commands = typer.main.get_command(app).commands
    return {
        "policies": {n: {k: repr(v) for k, v in policy_options(n).items()} for n in NAMES},
        "microscopes": microscope_names(),
        "tasks": sorted(tasks()),
        "campaigns": sorted(builtin_campaigns()),
        "presets": list(PRESETS),
        "instruments": [*INSTRUMENTS, *FAULT_LADDERS],
        "descriptors": {d.name: [d.unit, d.version] for d in DESCRIPTORS.values()},
        "requests": list(REQUESTS),
        "commands": {
            name: [option for p in command.params for option in (*p.opts, *p.secondary_opts)]
            for name, command in commands.items()
        },
    }


def main():
    write("machine", machine())
    write("public_names", public_names())
    write("known", known())
    with tempfile.TemporaryDirectory() as folder:
        film = films(Path(folder))
        policies(film)
        journals(film, Path(folder))
        command_line(Path(folder))
        campaigns(Path(folder))
    size = sum(path.stat().st_size for path in HERE.iterdir() if path.is_file())
    print(f"{size / 1e3:.0f} kB in {HERE}")


if __name__ == "__main__":
    main()
