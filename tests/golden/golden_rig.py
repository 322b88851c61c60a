"""What the golden files were made with and are compared with: one film, one problem, one loop.

Public names of Grainscout only, so that it outlives every move of modules.
"""

import dataclasses
import hashlib
import json
import lzma
import platform
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy
import torch

from grainscout.analysis.descriptors import describe
from grainscout.experiment import Experiment, make_problem
from grainscout.hardware import Guard, SimulatedMicroscope
from grainscout.policies import Predicts, make_policy
from grainscout.records import Budget, Waveform, spawn_streams
from grainscout.simulator import PRESETS, Film

HERE = Path(__file__).parent
SEED = 5
WAVE = Waveform.triangle(1.5, 31, 1.0)
LIGHT = 0.1
CHECKPOINT_EVERY = 3
WINDOW = 10
#: Columns of a table of maps, and how much the last bits of a network in single precision change them.
MAPS = (("nrmse", 1e-5), ("nll", 1e-5), ("crps", 1e-5), ("spearman", 1e-4), ("coverage", 5e-3))
SITES = np.array([[0, 0], [2, 3], [9, 22], [16, 16], [23, 5]])


def golden(name):
    """A golden JSON file; floats in it are exact."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def unpacked(name, folder):
    """A copy of a golden file that is stored compressed, to be opened and changed."""
    path = Path(folder) / name
    path.write_bytes(lzma.decompress((HERE / f"{name}.xz").read_bytes()))
    return path


def machine():
    """What the last bits of a float depend on: versions, and how this machine's kernels round."""
    x = np.random.default_rng(0).normal(size=(70, 70))
    gram, t = x @ x.T + np.eye(70), torch.from_numpy(x)
    kernels = {
        "blas": gram,
        "lapack": np.linalg.cholesky(gram),
        "lapack_scipy": scipy.linalg.solve_triangular(scipy.linalg.cholesky(gram), x),
        "numpy": np.stack([f(x) for f in (np.exp, np.sin, np.tanh, np.arctan, np.cbrt)]),
        "sums": np.array([x.sum(), *x.sum(0), *np.hypot(x, x.T).mean(1)]),
        "special": np.stack([scipy.special.erf(x), scipy.special.expit(x)]),
        "torch": torch.stack([t @ t, torch.exp(t), torch.tanh(t)]).numpy(),
        "torch_32": torch.stack([t.float() @ t.float(), torch.exp(t.float())]).numpy(),
    }
    return {
        "versions": [platform.machine(), np.__version__, scipy.__version__, torch.__version__],
        **{name: hashlib.sha256(a.tobytes()).hexdigest()[:16] for name, a in kernels.items()},
    }


@lru_cache
def exact():
    """Whether floats must be those of the golden files to the last bit."""
    return machine() == golden("machine")


def digest(array):
    """Checksum, shape and a few of the values of an array."""
    array = np.ascontiguousarray(array)
    flat = array.ravel()
    return {
        "sha256": hashlib.sha256(array.tobytes()).hexdigest()[:16],
        "shape": list(array.shape),
        "values": flat[:: max(1, flat.size // 4)].tolist(),
        "peak": float(np.abs(flat[np.isfinite(flat)]).max(initial=0)),
    }


def agrees(found, kept, rtol=1e-9):
    """Whether a digest is the golden one: to the last bit, or to `rtol` of the peak elsewhere."""
    if exact():
        return found["sha256"] == kept["sha256"] and found["shape"] == kept["shape"]
    atol = rtol * kept["peak"]
    return found["shape"] == kept["shape"] and all(
        np.allclose(found[key], kept[key], rtol=rtol, atol=atol, equal_nan=True)
        for key in ("values", "peak")
    )


def stage(film, instrument="reference"):
    """A microscope over the film, before its scan."""
    return Guard(SimulatedMicroscope(film, instrument, seed=spawn_streams(SEED).instrument))


def problem_of(scope, curves):
    """Scan, and what a policy is given."""
    return make_problem(scope, WAVE, Budget(curves=curves), light=LIGHT, window=WINDOW)


def policy_of(case, film, problem):
    """The policy of a case {"policy": ..., "options": ...}; the oracle is told the truth."""
    options = dict(case["options"])
    if "source" in options:
        options["source"] = str(HERE / options["source"])
    if case["policy"] == "oracle":
        clean, _ = film.curves(problem.candidates, WAVE, light=LIGHT)
        truth = describe(problem.target, WAVE.voltage, clean).value
        options["truth"] = np.round(truth / np.abs(truth).max(), 6)  # the same on every machine
    return make_policy(case["policy"], options)


def small_film(name):
    """A preset on few pixels."""
    spec = dataclasses.replace(PRESETS[name], rows=24, columns=24)
    return Film.generate(spec, spawn_streams(SEED).film)


def first_curve(film, instrument):
    """The current [A] at the first site of a map; empty where the tip found no surface."""
    scope = stage(film, instrument)
    problem = problem_of(scope, 1)
    run = Experiment(scope, make_policy("grid", {}), problem=problem, seed=SEED).run()
    (outcome,) = run.outcomes
    return np.zeros(0) if outcome.curve is None else outcome.curve.current


def trajectory(outcomes):
    """Everything of a run that must stay as it was, as plain values; see `same_trajectory`."""
    currents = [np.zeros(1) if o.curve is None else o.curve.current for o in outcomes]
    return {
        "sites": [[int(o.site[0]), int(o.site[1])] for o in outcomes],
        "told": [[o.status, o.visit, o.proposal_id, o.message] for o in outcomes],
        "times": [[o.started, o.finished] for o in outcomes],
        "curves": [hashlib.sha256(current.tobytes()).hexdigest()[:16] for current in currents],
        "peaks": [float(np.abs(current).max()) for current in currents],
        "means": [float(current.mean()) for current in currents],
    }


def same_trajectory(found, kept):
    """Assert that two trajectories are the same: sites, statuses and ids always to the letter."""
    assert found["sites"] == kept["sites"]
    assert found["told"] == kept["told"]
    if exact():
        assert found == kept
        return
    peak = max(kept["peaks"])
    for what, atol in (("times", 0.0), ("peaks", 0.0), ("means", 1e-9 * peak)):
        np.testing.assert_allclose(found[what], kept[what], rtol=1e-9, atol=atol, err_msg=what)


def course(case, film):
    """Sites of a policy's run, the numbers of its proposals, and what it thinks at the end."""
    scope = stage(film)
    problem = problem_of(scope, case["curves"])
    policy = policy_of(case, film, problem)
    told = []

    def listen(step):
        for p in step.proposals:
            told.extend((p.prediction, p.uncertainty, *(p.scores[k] for k in sorted(p.scores))))

    settings = {"batch": case["batch"], "observe": listen}
    run = Experiment(scope, policy, problem=problem, seed=SEED, **settings).run()
    return {
        "sites": [[int(o.site[0]), int(o.site[1])] for o in run.outcomes],
        "numbers": digest(np.array(told, float)),
        "thinks": [digest(a) for a in policy.predict()] if isinstance(policy, Predicts) else None,
    }


def film_digests(film):
    """What a film shows and what it is."""
    current, _ = film.curves(SITES, WAVE, light=LIGHT)
    return {
        **{name: digest(image) for name, image in film.scan().channels.items()},
        "archetype": digest(film.archetype),
        "weights": digest(film.archetype_weights),
        "curves": digest(current),
    }


def agree(found, kept, rtol=1e-9):
    """Assert that every digest in a nest of them is the golden one."""
    if isinstance(kept, dict) and "sha256" not in kept:
        assert set(found) == set(kept)
        for name in kept:
            agree(found[name], kept[name], rtol)
    else:
        assert agrees(found, kept, rtol), (found, kept)


def columns(frame):
    """A table as plain lists."""
    return {name: frame[name].tolist() for name in frame.columns}


def same_table(frame, kept, loose=()):
    """Assert that a table is the golden one: whole numbers, texts and order always to the letter.

    loose : (column, tolerance on another kind of machine) where it is not 1e-9.
    """
    assert list(frame.columns) == list(kept)
    for name, values in kept.items():
        found = frame[name].tolist()
        if any(isinstance(v, float) for v in values):
            rtol = 0 if exact() else dict(loose).get(name, 1e-9)
            np.testing.assert_allclose(found, values, rtol=rtol, atol=0, err_msg=name)
        else:
            assert found == values, name
