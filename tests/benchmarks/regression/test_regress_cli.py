"""``grainscout regress`` as its user meets it."""

import json
import sys

import numpy as np
import pytest

from grainscout.analysis import forensics
from grainscout.analysis.curves import turn_on
from grainscout.benchmarks import regression as regress
from grainscout.benchmarks.regression import FilmCase, models
from grainscout.microstructure import reader
from grainscout.policies import ModelPolicy, Selection
from grainscout.policies.models.gp import GaussianProcess

#: A fault in the code of a model of each kind.
DAMAGES = {
    "descriptors": (turn_on, "TURN_ON_RISE", 3 * turn_on.TURN_ON_RISE),
    "reader": (
        reader,
        "network_input",
        lambda *a, right=reader.network_input: np.roll(right(*a), 2, axis=(1, 2)),
    ),
    "latent-dual": (models, "_EPOCHS", 1),
    "surrogate-rbf": (
        GaussianProcess,
        "fit",
        lambda self, rows, y, noise=None, right=GaussianProcess.fit: right(
            self, rows, y[::-1], noise
        ),
    ),
    "forensics": (
        forensics,
        "patch_components",
        lambda image, sites, right=forensics.patch_components, **options: right(
            np.asarray(image)[::-1], sites, **options
        ),
    ),
    "policy-dkl": (
        ModelPolicy,
        "_choose",
        lambda self, n, available: Selection(index=self.rng.choice(available, n, replace=False)),
    ),
}

MODULE = """
def mine(case):
    return {"mine": LEVEL + 0.001 * len(case.name) + 0.01 * (int(case.name[-1]) % 3)}
"""


@pytest.fixture
def call(monkeypatch, grainscout, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def calling(*words):
        sys.modules.pop("my_models", None)
        status, out, err = grainscout("regress", *words)
        return status, out, " ".join(err.split())

    return calling


def test_a_model_of_ones_own_from_baseline_to_damage(call, tmp_path):
    source = tmp_path / "my_models.py"
    source.write_text("LEVEL = 1.0" + MODULE)
    chosen = ("--model", "my_models:mine")
    status, _, said = call(*chosen)
    assert status == 1
    assert "there is none" in said
    assert "--update --model my_models:mine" in said
    status, out, _ = call(*chosen, "--update")
    assert (status, "means: mine 1.0" in out) == (0, True)
    stored = tmp_path / "grainscout-baselines" / "my_models.mine.json"
    before = stored.read_bytes()
    status, out, _ = call(*chosen)
    assert (status, "unchanged" in out) == (0, True)
    source.write_text("LEVEL = 0.9" + MODULE.replace("% 3", "% 4"))
    status, out, said = call(*chosen)
    assert status == 1
    assert "most on s2" in out
    assert "1 of 1 scores got significantly worse" in said
    status, out, _ = call(*chosen, "--json")
    assert status == 1
    assert json.loads(out)["changes"][0]["outcome"] == "worse"
    assert stored.read_bytes() == before  # nothing but the flag changes a baseline
    source.write_text("LEVEL = 1.0" + MODULE + "\ncopy = lambda case: {'mine': 0.5}")
    as_mine = ("--model", "my_models:copy", "--baseline-of", "my_models:mine")
    assert "worse" in call(*as_mine)[1]  # a changed copy, beside the baseline of the original
    source.write_text("LEVEL = 1.1" + MODULE)
    assert "better" in call(*chosen)[1]


def test_an_unchanged_model_passes_twenty_times_of_twenty(call, monkeypatch):
    """Measured currents are off by rounding, as another BLAS would have it."""
    measured = FilmCase.current
    words = ("--model", "descriptors", "--model", "archetypes", "--json")
    for seed in range(20):
        rng = np.random.default_rng(seed)

        def rounded(case, rng=rng):
            current = measured.fget(case)
            return current * (1 + 1e-14 * rng.standard_normal(current.shape))

        monkeypatch.setattr(FilmCase, "current", property(rounded))
        status, out, _ = call(*words)
        assert status == 0
        assert {c["outcome"] for c in json.loads(out)["changes"]} == {"unchanged"}


@pytest.mark.parametrize("model", DAMAGES)
def test_a_fault_in_the_code_of_a_model_of_each_kind_is_found(call, monkeypatch, model):
    monkeypatch.setattr(*DAMAGES[model])
    status, out, said = call("--model", model)
    assert status == 1
    rows = [line for line in out.splitlines() if line.rstrip().endswith("worse")]
    assert rows
    assert f"{len(rows)} of" in said
    assert "most on s2" in out  # the table names the film that lost most


def test_the_models_are_listed(call):
    status, out, _ = call("--list")
    assert status == 0
    assert all(name in out for name in regress.MODELS)


@pytest.mark.parametrize("name", ["nothing", "no_such_module:x", "json:nothing", "sys:path"])
def test_a_missing_model_is_bad_usage(call, name):
    status, _, message = call("--model", name)
    assert status == 2
    assert "model" in message
