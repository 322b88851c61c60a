"""Whatever could be named before the modules were moved can still be named, and means the same.

A name that is new needs nothing here; one that is taken
away on purpose is taken out of public_names.json or known.json in the same commit.
"""

import importlib
import json

import numpy as np
import pytest
import typer
from golden_rig import (
    LIGHT,
    WAVE,
    agree,
    course,
    digest,
    film_digests,
    first_curve,
    golden,
    small_film,
)

from grainscout.analysis.descriptors import DESCRIPTORS, describe
from grainscout.benchmarks import find_task, tasks
from grainscout.cli import app
from grainscout.config import builtin_campaigns, load_campaign
from grainscout.experiment import REQUESTS
from grainscout.hardware import microscope_names
from grainscout.policies import make_policy, policy_names, policy_options
from grainscout.simulator import PRESETS
from grainscout.simulator.instrument import FAULT_LADDERS, INSTRUMENTS, instrument_spec

KNOWN, FILM = golden("known"), golden("film")


def _title(case):
    options = "-".join(f"{k}={v}" for k, v in case["options"].items())
    return f"{case['policy']}-{case['batch']}{options and '-' + options}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("module", golden("public_names"))
def test_every_public_name_of_before_is_imported_from_its_old_place(module):
    found = importlib.import_module(module)
    lacking = [name for name in golden("public_names")[module] if not hasattr(found, name)]
    assert lacking == []


@pytest.mark.parametrize("case", golden("policies"), ids=_title)
def test_every_policy_takes_the_same_course(film, case):
    found = course(case, film)
    assert found["sites"] == case["sites"]
    agree(found["numbers"], case["numbers"], rtol=1e-6)  # an optimiser is behind some of them
    assert (found["thinks"] is None) == (case["thinks"] is None)
    for one, other in zip(found["thinks"] or (), case["thinks"] or (), strict=True):
        agree(one, other, rtol=1e-6)


@pytest.mark.parametrize("name", KNOWN["policies"])
def test_every_policy_has_its_options_with_the_same_defaults(name):
    assert name in policy_names()
    make_policy(name)
    options = {option: repr(value) for option, value in policy_options(name).items()}
    assert KNOWN["policies"][name].items() <= options.items()


@pytest.mark.parametrize("name", FILM["presets"])
def test_every_preset_is_the_same_film(name):
    agree(film_digests(small_film(name)), FILM["presets"][name])


def test_the_stored_film_has_the_same_parameters(film):
    agree({name: digest(a) for name, a in film.parameters.items()}, FILM["parameters"])


@pytest.mark.parametrize("name", FILM["instruments"])
def test_every_instrument_measures_the_same_curve(film, name):
    instrument_spec(name)
    agree(digest(first_curve(film, name)), FILM["instruments"][name])


@pytest.mark.parametrize("name", FILM["descriptors"])
def test_every_descriptor_gives_the_same_numbers(film, name):
    current, _ = film.curves(np.argwhere(np.ones(film.shape, bool)), WAVE, light=LIGHT)
    agree(digest(describe(name, WAVE.voltage, current).value), FILM["descriptors"][name])
    assert [DESCRIPTORS[name].unit, DESCRIPTORS[name].version] == KNOWN["descriptors"][name]


def test_every_other_name_of_before_is_known():
    now = {
        "microscopes": microscope_names(),
        "tasks": tasks(),
        "campaigns": builtin_campaigns(),
        "presets": PRESETS,
        "instruments": {*INSTRUMENTS, *FAULT_LADDERS},
        "requests": REQUESTS,
    }
    lacking = {kind: [n for n in KNOWN[kind] if n not in names] for kind, names in now.items()}
    assert not any(lacking.values()), lacking
    for id_ in KNOWN["tasks"]:
        assert find_task(id_).id == id_


@pytest.mark.parametrize("name", KNOWN["campaigns"])
def test_every_campaign_of_before_can_be_loaded(name):
    if name == "peers" and not any(n.startswith("peer-") for n in policy_names()):
        pytest.skip("the peers' packages are not installed")
    campaign = load_campaign(name)
    assert campaign.name == name
    json.dumps(campaign.identity())


@pytest.mark.parametrize("name", KNOWN["commands"])
def test_every_command_takes_its_options(name):
    command = typer.main.get_command(app).commands[name]
    found = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    assert set(KNOWN["commands"][name]) - found == set()
