"""Nouns in a notebook: one short line, and a picture; axes are taken and returned."""

import base64
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from grainscout.experiment import Result
from grainscout.records import IVCurve, Outcome, Recording, Scan, Site, Waveform
from grainscout.simulator import PRESETS, Film

WAVE = Waveform.triangle(1.0, 11, 0.5)
SCAN = Scan(channels={"height": np.eye(4) * 1e-9}, units={"height": "m"}, pixel_size=(1e-8, 1e-8))
CURVE = IVCurve(voltage=WAVE.voltage, current=WAVE.voltage * 2e-9, time=WAVE.time)
THINGS = {
    "Scan of 4 x 4 pixels of 10 nm: height [m]": SCAN,
    "IVCurve of 11 samples, 0 to 1 V, up to 2e-09 A": CURVE,
    "Recording of 1 curves": Recording(
        scan=SCAN, sites=np.array([[1, 2]]), waveform=WAVE, current=CURVE.current[None]
    ),
    "Result of 1 outcomes (1 ok): over": Result(
        outcomes=[Outcome(site=Site(1, 2), curve=CURVE, status="ok")], reason="over"
    ),
    "Film of 48 x 48 pixels": Film.generate(PRESETS["tiny"], 3),
}


@pytest.mark.parametrize("text", THINGS)
def test_a_noun_is_one_line_and_a_picture(text):
    thing = THINGS[text]
    assert repr(thing).startswith(text)
    assert len(repr(thing)) < 300
    page = thing._repr_html_()
    picture = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert picture
    assert base64.b64decode(picture[1]).startswith(b"\x89PNG")
    axes = Figure().subplots()
    assert thing.draw(axes) is axes
