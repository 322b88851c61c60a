"""Microscopes by name: units in the names of their options."""

import pytest

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
