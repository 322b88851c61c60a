"""``grainscout check-microscope`` with a lab's own waveform, limits and experiment file."""

import json

import pytest
from lab import FILE, SIMULATED

from grainscout.analysis.formats import write_nsid
from grainscout.hardware import Guard, make_microscope
from grainscout.records import Scan
from grainscout.simulator import Film, FilmSpec


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Options of a microscope on a small film without symmetry."""
    path = tmp_path_factory.mktemp("film") / "film.h5"
    Film.generate(FilmSpec(rows=20, columns=26), 4).save(path)
    return {"film": str(path), "instrument": "quiet"}


@pytest.fixture(scope="module")
def bare(small):
    return ["check-microscope", "simulated", "--options", json.dumps(small)]


def each(option: str, *values: str) -> list[str]:
    return [word for value in values for word in (option, value)]


@pytest.fixture
def command(grainscout):
    """Runs the command line; gives the exit status, and what was printed, in one line."""

    def run(*arguments: str) -> tuple[int, str]:
        status, out, err = grainscout(*arguments)
        return status, " ".join((out + err).split())

    return run


@pytest.fixture
def swept(monkeypatch):
    """Peak voltage and duration of every sweep that a guard lets through."""
    seen, measure = [], Guard.measure

    def watched(self, site, waveform):
        curve = measure(self, site, waveform)
        seen.append((waveform.peak, waveform.duration, self.limits))
        return curve

    monkeypatch.setattr(Guard, "measure", watched)
    return seen


def test_the_waveform_and_the_limits_are_the_labs(command, swept, bare):
    status, said = command(
        *bare,
        *each("--waveform", "kind=bipolar", "peak_V=0.1", "samples=41", "duration_s=0.4"),
        *each("--limit", "voltage_V=0.2", "current_A=1e-6"),
    )
    assert (status, "passes all" in said) == (0, True), said
    assert {(p, round(d, 6)) for p, d, _ in swept} == {(0.1, 0.4)}
    assert {(k.voltage_V, k.current_A) for _, _, k in swept} == {(0.2, 1e-6)}


def test_a_waveform_beyond_the_limits_fails_and_is_not_applied(command, swept, bare):
    status, said = command(*bare, "--waveform", "peak_V=0.5", "--limit", "voltage_V=0.2")
    assert status == 1
    assert "voltage_V" in said
    assert swept == []


def test_an_experiment_file_gives_microscope_waveform_and_limits(command, swept, tmp_path):
    path = tmp_path / "night.toml"
    path.write_text(FILE + SIMULATED)
    status, said = command("check-microscope", str(path))
    assert (status, "passes all" in said) == (0, True), said
    assert {(p, round(d, 6)) for p, d, _ in swept} == {(0.8, 0.1)}
    assert {k.voltage_V for _, _, k in swept} == {1.0}
    swept.clear()
    gentler = ["--waveform", "peak_V=0.3", "--limit", "voltage_V=0.4"]
    assert command("check-microscope", str(path), *gentler)[0] == 0
    assert {(p, round(d, 6)) for p, d, _ in swept} == {(0.3, 0.1)}
    assert {(k.voltage_V, k.slew_V_per_s, k.dwell_s) for _, _, k in swept} == {(0.4, 100.0, 1.0)}
    assert command("check-policy", str(path))[0] == 0


def test_the_image_of_a_known_sample_tells_the_orientation(command, small, bare, tmp_path):
    seen = make_microscope("simulated", small).scan()
    for turned, status in ((seen.height, 0), (seen.height[::-1], 1)):
        path = tmp_path / f"known{status}.h5"
        write_nsid(Scan(channels={"height": turned}, pixel_size=seen.pixel_size), path)
        found, said = command(*bare, "--scan", str(path))
        assert found == status, said
        assert ("upside down" in said) == bool(status)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--limit", "volts=1"], "volts is not a key"),
        (["--limit", "voltage_V=-1"], "must be finite and > 0"),
        (["--limit", "voltage_V"], "must be key=value"),
        (["--limit", "voltage_V=1", "--limit", "voltage_V=2"], "each key once"),
        (["--waveform", "peak_V=high"], "peak_V must be a valid number"),
        (["--waveform", "kind=square"], "kind must be"),
        (["--waveform", "branches=3"], "branches is not a setting"),
    ],
)
def test_a_wrong_setting_is_bad_usage(command, bare, arguments, words):
    status, said = command(*bare, *arguments)
    assert status == 2
    assert words in said


def test_options_beside_a_file_are_bad_usage(command, tmp_path):
    path = tmp_path / "night.toml"
    path.write_text(FILE + SIMULATED)
    status, said = command("check-microscope", str(path), "--options", '{"film": "tiny"}')
    assert status == 2
    assert "--options must be left out" in said
