"""What an instrument would refuse is refused on paper, before anything is connected."""

import numpy as np
import pytest
from lab import FILE

from grainscout.hardware import Limits, paper_of
from grainscout.hardware.paper import refused_on_paper
from grainscout.records import Waveform

OPTIONS = {"controller": "Deflection", "setpoint": 0.5, "rail_A": 1e-8, "scan_bias_V": 0.5}
TRIANGLE = Waveform.triangle(0.8, 21, 0.2)  # 8 V/s, which Nanonis ramps with 16


@pytest.mark.parametrize(
    ("limits", "changed", "waveform", "light", "words"),
    [
        ({"slew_V_per_s": 10.0}, {}, TRIANGLE, 0.0, "slew rate must be at most 10 V/s; got 16"),
        ({"dwell_s": 0.5}, {"averages": 4}, TRIANGLE, 0.0, "time under bias must be at most 0.5 s"),
        (
            {"voltage_V": 0.4},
            {},
            Waveform.triangle(0.3, 21, 0.2),
            0.0,
            "|bias| of an image must be",
        ),
        ({}, {}, TRIANGLE, 0.1, "light must be 0 suns: this instrument has no lamp"),
        ({"current_A": 1.001e-8}, {}, TRIANGLE, 0.0, "must lie below the amplifier's rail"),
        ({}, {}, Waveform(voltage=np.sin(np.arange(40)), time=np.arange(40)), 0.0, "16 segments"),
    ],
)
def test_each_refusal_is_named(limits, changed, waveform, light, words):
    paper = paper_of("nanonis", {**OPTIONS, **changed})
    wide = {"slew_V_per_s": None, "dwell_s": None}
    assert refused_on_paper(paper, Limits(**wide), TRIANGLE) == []
    (said,) = refused_on_paper(paper, Limits(**{**wide, **limits}), waveform, light)
    assert words in said


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("slew_V_per_s = 20", "slew rate must be at most 20 V/s; got 32"),
        ("", "the policy server at tcp://127.0.0.1:9 must answer"),
    ],
    ids=["instrument", "policy server"],
)
def test_preflight_asks_the_instrument_and_the_policy_server(tmp_path, grainscout, table, words):
    path = tmp_path / "run.toml"
    text = FILE.replace("slew_V_per_s = 100.0", table or "slew_V_per_s = 100.0")
    text += '[task.microscope]\nkind = "nanonis"\noptions = { controller = "D", setpoint = 0.5 }\n'
    if not table:
        text += '[link]\naddress = "tcp://127.0.0.1:9"\n'
    path.write_text(text)
    status, out, err = grainscout("preflight", path, "--film", "tiny")
    assert status in (1, 2)
    assert words in " ".join((out + err).split())
