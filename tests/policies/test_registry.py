"""Policies by name: what is known, what is refused, and that looking does not load torch."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from samples import fresh

from grainscout.policies import make_policy, policy_class, policy_names
from grainscout.policies.conformance import ToySample
from grainscout.policies.strategies.random import Random
from grainscout.records import ConfigError


def test_importing_the_package_and_a_light_policy_loads_no_torch():
    code = (
        "import sys; from grainscout.policies import make_policy, policy_names\n"
        "policy_names(); make_policy('random'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("rnadom", {}, "closest: 'random'"),
        ("grid", {"ordr": "raster"}, "closest: 'order'"),
        ("grid", {"ordr": "raster"}, "order = 'serpentine'"),
        ("grid", {"order": "spiral"}, "raster"),
        ("random", {"retries": -1}, "at least 0; got -1"),
        ("random", {"retries": True}, "whole number"),
        ("dkl", {"engine": "svm"}, "engine must be"),
        ("dkl", {"acquisition": "pi"}, "acquisition must be"),
        ("dkl", {"beta": -1.0}, "beta must be"),
        ("dkl", {"window": 0}, "window must be"),
        ("dkl", {"goal": "up"}, "goal must be"),
        ("dkl", {"channels": "current"}, "channels must be"),
        ("dual-novelty", {"gate": "and"}, "gate must be"),
        ("dual-novelty", {"quantile": 1.5}, "quantile must be"),
        ("dual-novelty", {"spectral": "k"}, "spectral must be"),
        ("dual-novelty", {"acquisition": "ivr"}, "acquisition must be"),
        ("boundary-dkl", {"detector": "lerned"}, "learned"),
        ("boundary-dkl", {"threshold": 1.5}, "threshold"),
        ("beacon", {"acquisition": "ei"}, "never did anything"),
        ("beacon", {"outcomes": 4}, "comma-separated"),
        ("co-navigation", {"composition": ""}, "composition must be"),
        ("kriging", {"engine": "nngp"}, "matern, rbf"),
        ("scout", {"aim": "max"}, "aim"),
        ("scout", {"examples": 0}, "examples"),
        ("scout", {"apart": -1.0}, "apart"),
        ("scout", {"prior": "truth"}, "prior"),
        ("structured-gp", {"causes": "boundery"}, "closest: 'boundary'"),
        ("structured-gp", {"causes": 3}, "comma-separated"),
        ("structured-gp", {"engine": "nngp"}, "residual 'position'"),
        ("hypothesis", {"hypotheses": "grain"}, "at least two different"),
        ("hypothesis", {"hypotheses": "grain; grain"}, "at least two different"),
        ("hypothesis", {"reward": "luck"}, "published"),
    ],
)
def test_a_bad_name_or_option_is_named_with_what_is_known(name, options, said):
    with pytest.raises(ConfigError, match=said):
        make_policy(name, options)


def _entry(monkeypatch, *points):
    monkeypatch.setattr("grainscout.records.registry.entry_points", lambda group: points)


def test_a_third_party_policy_comes_in_through_its_entry_point(monkeypatch):
    _entry(
        monkeypatch,
        EntryPoint("theirs", "grainscout.policies.strategies.random:Random", "grainscout.policies"),
    )
    assert policy_class("theirs") is Random
    assert "theirs" in policy_names()
    policy = fresh(make_policy("theirs", {"retries": 2}), ToySample().problem(3))
    assert len(policy.ask(9)) == 3


def test_two_policies_of_one_name_are_refused(monkeypatch):
    one = EntryPoint("mine", "a:A", "grainscout.policies")
    _entry(monkeypatch, one, EntryPoint("mine", "b:B", "grainscout.policies"))
    with pytest.raises(ConfigError, match=r"'mine' must be unique.*b:B and a:A"):
        policy_names()
    _entry(monkeypatch, EntryPoint("random", "a:A", "grainscout.policies"))
    with pytest.raises(ConfigError, match="built-in"):
        policy_names()


def test_a_broken_entry_point_is_named(monkeypatch):
    _entry(monkeypatch, EntryPoint("lost", "no_such_module:Policy", "grainscout.policies"))
    with pytest.raises(ConfigError, match="'lost' cannot be loaded: No module named"):
        make_policy("lost")


def test_a_missing_required_option_is_named(monkeypatch):
    _entry(monkeypatch, EntryPoint("site", "grainscout.records:Site", "grainscout.policies"))
    with pytest.raises(ConfigError, match="must be given row, column"):
        make_policy("site")
