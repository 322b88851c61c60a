"""Microscopes by name: units in the names of their options."""

import pytest

from grainscout.config import RunConfig, load_run, parse, run_document
from grainscout.hardware import make_microscope
from grainscout.records import ConfigError


@pytest.mark.parametrize(
    ("name", "options", "new"),
    [
        ("nanonis", {"rail_a": 1e-8}, "rail_A"),
        ("aespm", {"folder": ".", "step_v": 0.1}, "step_V"),
        (
            "source-meter",
            {"resource": "GPIB0", "mover": "nanonis", "compliance_a": 1},
            "compliance_A",
        ),
    ],
)
def test_an_earlier_spelling_of_a_unit_is_an_error_that_names_the_new_one(name, options, new):
    with pytest.raises(ConfigError, match=f"no option .*closest: '{new}'"):
        make_microscope(name, options)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nanonis", {"port": "x"}, "port as a whole number; got 'x'"),
        ("nanonis", {"host": {"a": 1}}, "host as a text"),
        ("parts", {"mover": "nanonis", "meter": 3}, "meter as a text; got 3"),
        ("replay", {"path": "a", "rail_A": True}, "rail_A as a number; got True"),
    ],
)
def test_an_option_of_a_wrong_type_is_refused_by_its_name(name, options, said):
    with pytest.raises(ConfigError, match=f"{name}.*{said}"):
        make_microscope(name, options)


def test_a_journal_with_earlier_spellings_can_be_resumed(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        '[task]\ncurves = 3\n[task.microscope]\nkind = "source-meter"\n[task.microscope.options]\n'
        'resource = "GPIB0"\nmover = "nanonis"\ncompliance_A = 1e-6\nmover_options = { rail_A = 1e-8 }\n'
        '[policy]\nname = "random"\n'
    )
    today = load_run(file)
    document = run_document(today)
    options = document["task"]["microscope"]["options"]
    options["compliance_a"] = options.pop("compliance_A")
    options["mover_options"] = {"rail_a": options["mover_options"]["rail_A"]}
    assert parse(RunConfig, document, "run.gsj") == today
