"""Pictures: drawn without a window, with units on every axis, and only when asked for."""

import subprocess
import sys

import numpy as np
import pytest

from grainscout.records import Waveform
from grainscout.simulator import PRESETS, Film
from grainscout.simulator.pictures import film_overview, typical_sites


def test_overview_is_drawn_with_units(tmp_path):
    film = Film.generate(PRESETS["tiny"], 4)
    figure = film_overview(film, Waveform.triangle(samples=101))
    panels = [a for a in figure.axes if a.get_title()]
    assert len(panels) == 6
    for axes in panels:
        assert axes.get_xlabel().endswith(")")
        assert axes.get_ylabel().endswith(")")
    bars = [a.get_ylabel() for a in figure.axes if not a.get_title()]
    assert sorted(bars) == ["nA", "nA", "nA V", "nm"]
    # Row 0 is on top: the image's extent puts y = 0 above y = max.
    shown = panels[0].images[0]
    assert shown.get_extent()[2] > shown.get_extent()[3]
    figure.savefig(tmp_path / "film.png", dpi=60)
    assert (tmp_path / "film.png").stat().st_size > 10_000


def test_typical_sites_are_the_purest():
    film = Film.generate(PRESETS["tiny"], 4)
    for kind, site in typical_sites(film):
        weight = film.archetype_weights[site[0, 0], site[0, 1], kind]
        assert weight == film.archetype_weights[..., kind][film.archetype == kind].max()


@pytest.mark.parametrize("module", ["matplotlib", "torch", "pandas"])
def test_importing_the_simulator_stays_light(module):
    code = f"import grainscout.simulator, sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loop_area_panel_is_the_loop():
    film = Film.generate(PRESETS["tiny"], 4)
    sweep = Waveform.triangle(samples=101)
    figure = film_overview(film, sweep)
    axes = next(a for a in figure.axes if "loop area" in a.get_title())
    shown = np.asarray(axes.images[0].get_array())
    current, _ = film.curves(np.array([[20, 30]]), sweep, light=0.1)
    up, down = current[0, :51], current[0, 50:][::-1]
    assert shown[20, 30] == pytest.approx(np.trapezoid(down - up, sweep.voltage[:51]) / 1e-9)
