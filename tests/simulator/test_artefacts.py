"""The scan: every artefact has a switch, a log that explains it, and a stream of its own."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from grainscout.simulator import PRESETS, Film, FilmSpec, ScanSpec, TopographySpec

OFF = PRESETS["clean"].scan
TIP = replace(OFF, tip_radius_nm=76.0)
SWITCHES = {
    "noise": {"noise_nm": 0.5},
    "line": {"line_nm": 0.5},
    "walk": {"line_walk_nm": 0.5},
    "jumps": {"line_jumps": 3.0, "line_jump_nm": 2.0},
    "scars": {"scars": 5.0, "scar_nm": 3.0},
    "plane": {"plane_nm": 20.0},
    "drift": {"drift_nm": 40.0},
    "drift walk": {"drift_walk_nm": 40.0},
}


@cache
def film(scan: ScanSpec, seed: int = 3) -> Film:
    return Film.generate(FilmSpec(rows=96, columns=80, scan=scan), seed)


@pytest.mark.parametrize("name", SWITCHES)
def test_each_artefact_changes_the_image_and_nothing_else(name):
    clean, dirty = film(TIP), film(replace(TIP, **SWITCHES[name]))
    assert np.array_equal(clean.height, dirty.height)
    assert not np.array_equal(clean.scan().height, dirty.scan().height)
    for key, array in clean.parameters.items():
        assert np.array_equal(array, dirty.parameters[key])


@pytest.mark.parametrize("name", SWITCHES)
def test_artefacts_add_up_from_their_logs(name):
    """Switching one more artefact on leaves the others' contributions bit-equal."""
    everything = {k: v for part in SWITCHES.values() for k, v in part.items()}
    _, full = film(replace(TIP, **everything)).imaged()
    _, alone = film(replace(TIP, **SWITCHES[name])).imaged()
    if name == "noise":
        assert np.array_equal(full.noise, alone.noise)
    elif name == "scars":
        assert np.array_equal(full.scars, alone.scars)
    elif name == "plane":
        assert full.plane == alone.plane
    elif "drift" in name:
        both = film(replace(TIP, drift_nm=40.0)).imaged()[1].displacement
        other = film(replace(TIP, drift_walk_nm=40.0)).imaged()[1].displacement
        assert np.allclose(full.displacement, both + other)
    else:
        names = ("line", "walk", "jumps")
        parts = [film(replace(TIP, **SWITCHES[k])).imaged()[1].line for k in names]
        assert np.allclose(full.line, sum(parts))


def test_the_log_explains_the_image():
    everything = {k: v for k, part in SWITCHES.items() if "drift" not in k for k, v in part.items()}
    f = film(replace(TIP, **everything))
    image, log = f.imaged()
    r, c = np.indices(f.shape)
    plane = log.plane[0] * (r - 47.5) * 20e-9 + log.plane[1] * (c - 39.5) * 20e-9
    total = log.dilated + log.line[:, None] + log.scars + plane + log.noise
    assert np.allclose(image, total, atol=1e-20)


def test_drift_moves_features_by_the_logged_displacement():
    """A linear surface shows the displacement directly: h(r - d) = h(r) - slope d."""
    flat = TopographySpec(
        dome_nm=0.0,
        dome_sd_nm=0.0,
        tilt=0.0,
        undulation_nm=0.0,
        groove_depth_nm=0.0,
        roughness_nm=0.0,
    )
    spec = FilmSpec(rows=64, columns=64, topography=flat, scan=replace(OFF, drift_nm=60.0))
    f = Film.generate(spec, 1)
    from grainscout.simulator.film import artefacts, stream

    ramp = np.indices(f.shape)[1] * 1e-9
    streams = {name: stream(f.seed, name) for name in artefacts.STREAMS}
    image, log = artefacts.image(ramp, f.pixel_size, spec.scan, streams)
    moved = (ramp - image)[:, 20:40] / 1e-9
    assert np.allclose(moved, (log.displacement[:, 1] / 20e-9)[:, None], atol=1e-6)
    assert np.allclose(log.displacement, np.linspace(0, 1, 64)[:, None] * log.displacement[-1])


def test_amplitudes_are_as_specified():
    base = FilmSpec(rows=400, columns=64, scan=replace(OFF, noise_nm=0.5, line_nm=0.8))
    _, log = Film.generate(base, 1).imaged()
    assert log.noise.std() == pytest.approx(0.5e-9, rel=0.03)
    assert log.line.std() == pytest.approx(0.8e-9, rel=0.1)
    walk = Film.generate(replace(base, scan=replace(OFF, line_walk_nm=0.3)), 1).imaged()[1].line
    assert np.diff(walk).std() == pytest.approx(0.3e-9, rel=0.1)
    jumpy = Film.generate(FilmSpec(rows=32, columns=32, scan=replace(OFF, line_jumps=2.0)), 0)
    lines = [jumpy.imaged(repeat=k)[1].line for k in range(100)]
    counts = [np.count_nonzero(np.diff(line)) for line in lines]
    assert np.mean(counts) == pytest.approx(2.0, abs=0.6)


def test_images_repeat_or_differ_by_their_number():
    f = film(ScanSpec())
    assert np.array_equal(f.scan().height, f.scan().height)
    assert not np.array_equal(f.scan().height, f.scan(repeat=1).height)
    assert np.array_equal(f.scan(repeat=1).height, f.scan(repeat=1).height)
    mean = np.mean([f.scan(repeat=k).height for k in range(40)], axis=0)
    one = f.scan().height - f.dilated()
    assert (mean - f.dilated()).std() < 0.5 * one.std()
