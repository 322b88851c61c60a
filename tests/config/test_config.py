"""Configuration: what is written is read back, and every mistake is named."""

import dataclasses
import tomllib
from pathlib import Path

import pytest
import tomli_w

from grainscout.benchmarks import Campaign, MicroscopeSpec, PolicySpec, Task, WaveformSpec
from grainscout.config import (
    RunConfig,
    builtin_campaigns,
    load_campaign,
    load_run,
    parse,
    run_document,
)
from grainscout.hardware import Limits
from grainscout.records import ConfigError

GOOD = """
seed = 3
[task]
target = "turn_on"
light_suns = 0.1
curves = 20
microscope = { kind = "simulated", film = "tiny" }
waveform = { kind = "triangle", peak_V = 1.2, samples = 101, duration_s = 0.5 }
[policy]
name = "dkl"
options = { acquisition = "ei" }
[limits]
voltage_V = 1.5
"""


def test_what_is_written_is_read_back():
    config = RunConfig(
        seed=9,
        task=Task(
            id="a/b",
            microscope=MicroscopeSpec(
                kind="topography", file=Path("/data/image.ibw"), crop_px=(0, 0, 64, 64)
            ),
            waveform=WaveformSpec(kind="pulses", levels_V=(1.0, -0.5), width_s=0.1),
            curves=5,
            seconds=100.0,
            goals=("mapping",),
            tags=("x",),
        ),
        policy=PolicySpec(name="grid", label="raster"),
        limits=Limits(frame_m=(0.0, 0.0, 1e-6, 1e-6)),
    )
    text = tomli_w.dumps(run_document(config))
    assert parse(RunConfig, tomllib.loads(text), "again") == config


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("light_suns", "light_sun", "task.light_sun is not a key here; did you mean light_suns"),
        ('film = "tiny"', 'flim = "tiny"', "task.microscope.flim is not a key here"),
        ("= 0.1", '= "bright"', "task.light_suns must be a valid number; got 'bright'"),
        ("curves = 20", "curves = true", "task.curves must be a valid integer; got True"),
        ("curves = 20", "curves = 0", "curves must be positive; got 0"),
        ("curves = 20", "", "must limit curves, seconds or wear"),
        ("curves = 20", "curves = 2.5", "task.curves must be a valid integer"),
        ("light_suns = 0.1", "light_suns = -1", "light_suns must be >= 0; got -1"),
        ('"turn_on"', '"turnon"', "target must be one of"),
        ("samples = 101", "samples = 100", "samples must be odd"),
        ("samples = 101", "samples = 1000000001", "samples must be at most 1000000"),
        (
            "samples = 101",
            "branches = 3",
            "task.waveform.branches is not a setting of kind 'triang",
        ),
        ("samples = 101", "rate_V_s = 3", "task.waveform.rate_V_s is now written rate_V_per_s"),
        ('film = "tiny"', "options = { rail_a = 1 }", "options.rail_a is now written rail_A"),
        ('"dkl"', '"dlk"', "policy must be one of"),
        ('acquisition = "ei"', "windw = 3", "windw"),
        ('acquisition = "ei"', 'acquisition = "best"', "acquisition"),
        ("voltage_V = 1.5", "voltage_V = -2", "voltage_V must be finite and > 0"),
        ("voltage_V = 1.5", "volts = 2", "limits.volts is not a key here"),
        (
            "[policy]",
            "[microscope]\nfilm = 1\n[policy]",
            "microscope is not a key here; it is one of [task]",
        ),
        ("[policy]", "[polcy]", "polcy is not a key here; did you mean policy"),
        ("seed = 3", "seed = -1", "seed must be >= 0"),
        ("[task]", "[task", "must be TOML"),
        ("[task]", "[task]\nsecond_look = -1", "second_look must be at least 0"),
        ("seed = 3", "max_spoilt = 0.0", "max_spoilt must be in (0, 1]"),
        ("seed = 3", "max_spoilt = 1.5", "max_spoilt must be in (0, 1]"),
        ('kind = "triangle"', 'kind = "sine"', "task.waveform.kind must be"),
    ],
)
def test_every_mistake_is_named_with_its_file(tmp_path, old, new, said):
    assert old in GOOD
    path = tmp_path / "run.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_run(path)
    assert said in str(caught.value)
    if "policy must" not in said and "windw" not in said and said != "acquisition":
        assert str(path) in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[task]\ncurves = 3\n")
    with pytest.raises(ConfigError, match="policy must be given"):
        load_run(path)
    with pytest.raises(ConfigError, match="there is none at"):
        load_run(tmp_path / "absent.toml")


def test_files_are_relative_to_the_configuration(tmp_path):
    (tmp_path / "run.toml").write_text(
        GOOD.replace(
            '{ kind = "simulated", film = "tiny" }', '{ kind = "replay", file = "data/grid.3ds" }'
        )
    )
    config = load_run(tmp_path / "run.toml")
    assert config.task.microscope.file == tmp_path / "data" / "grid.3ds"


@pytest.mark.parametrize("name", sorted(builtin_campaigns()))
def test_every_shipped_campaign_is_valid_and_described(name, request, monkeypatch):
    if name == "recorded":
        monkeypatch.setenv("GRAINSCOUT_DATA", str(request.getfixturevalue("shared_data")))
    campaign = load_campaign(name)
    assert campaign.name == name
    assert campaign.description
    assert "random" in [p.title for p in campaign.policies]  # what 0 means
    # A campaign survives its own identity, from which a report is made again.
    again = parse(Campaign, campaign.identity()["campaign"], "store")
    assert again == campaign


def test_defaults_are_shared_and_overridden(tmp_path):
    path = tmp_path / "campaign.toml"
    path.write_text(
        'name = "mine"\n[defaults]\ncurves = 9\nmicroscope = { film = "tiny", instrument = "quiet" }\n'
        '[[task]]\nid = "a"\n[[task]]\nid = "b"\ncurves = 4\nmicroscope = { instrument = "ideal" }\n'
        '[[policy]]\nname = "random"\n'
    )
    a, b = load_campaign(str(path)).tasks
    assert (a.curves, b.curves) == (9, 4)
    assert b.microscope == dataclasses.replace(a.microscope, instrument="ideal")


def test_settings_that_came_later_are_left_out_of_documents_at_their_defaults(tmp_path):
    (tmp_path / "run.toml").write_text(GOOD)
    config = load_run(tmp_path / "run.toml")
    document = run_document(config)
    assert {"judge", "max_spoilt"}.isdisjoint(document)
    assert "second_look" not in document["task"]
    assert config.loop_settings()["second_look"] == 1
    other = dataclasses.replace(
        config, judge=False, max_spoilt=0.5, task=dataclasses.replace(config.task, second_look=0)
    )
    document = run_document(other)
    assert (document["judge"], document["max_spoilt"]) == (False, 0.5)
    assert document["task"]["second_look"] == 0
    assert parse(RunConfig, document, "test") == other
    assert other.loop_settings()["judge"] is False
    assert other.loop_settings()["max_spoilt"] == 0.5
    assert other.loop_settings()["second_look"] == 0
