"""Advice: films are like the image, and policy, images and budget follow from the errors."""

import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grainscout.analysis.formats import write_gwy, write_nsid
from grainscout.benchmarks import PolicySpec, Task
from grainscout.benchmarks.advice import advice_campaign, advise, seen
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.tasks.microscopes import Topography
from grainscout.config.run import RunConfig, parse
from grainscout.records import ConfigError, DataError, Recording, Scan, Waveform
from grainscout.simulator import PRESETS, Film, FilmSpec
from grainscout.simulator.film.likeness import spec_like
from grainscout.simulator.film.spec import GrainSpec, ScanSpec, TopographySpec

TASK = Task(curves=40, goals=("mapping",))


def image(mean_nm, factor, noise_nm):
    surface = TopographySpec(dome_nm=50 * factor, dome_sd_nm=20 * factor, undulation_nm=30 * factor)
    spec = FilmSpec(
        grains=GrainSpec(mean_nm=mean_nm, warp_nm=10.0),
        topography=surface,
        scan=ScanSpec(noise_nm=noise_nm, line_nm=0.3, scars=0.0, line_jumps=0.0),
    )
    return Film.generate(spec, 7).scan()


@pytest.mark.parametrize(("mean", "factor", "noise"), [(300.0, 1.0, 0.3), (600.0, 0.4, 1.0)])
def test_films_are_like_the_image(mean, factor, noise):
    scan = image(mean, factor, noise)
    spec = spec_like(Film.from_topography(scan.height, scan.pixel_size))
    assert spec.grains.mean_nm == pytest.approx(mean, rel=0.35)
    assert spec.scan.noise_nm == pytest.approx(noise, rel=0.5)
    rms = [Film.generate(spec, seed).scan().height.std() for seed in range(3)]
    assert np.mean(rms) == pytest.approx(scan.height.std(), rel=0.35)


@pytest.fixture
def plan(tmp_path):
    scan = image(440.0, 1.0, 0.15)
    write_gwy(
        Scan(channels=scan.channels, units=scan.units, pixel_size=scan.pixel_size),
        tmp_path / "a.gwy",
    )
    return advice_campaign(tmp_path / "a.gwy", TASK, films=2, policies=[PolicySpec(name="dkl")])


def recorded(path, unit="A"):
    """A grid of curves of an odd number of samples on a film of Liu2023, in light."""
    film = Film.generate(replace(PRESETS["Liu2023"], rows=32, columns=32), 7)
    sweep = Waveform(voltage=np.linspace(-1.5, 1.5, 64), time=np.linspace(0.0, 1.0, 64))
    sites = np.argwhere(np.ones((32, 32), bool))[::7]
    current, _ = film.curves(sites, sweep, light=0.1)
    data = Recording(scan=film.scan(), sites=sites, waveform=sweep, current=current, unit=unit)
    write_nsid(data, path)
    return path


def test_recorded_curves_give_their_sweep_and_their_material(tmp_path):
    task = replace(TASK, light_suns=0.1)
    plan = advice_campaign(recorded(tmp_path / "grid.h5"), task, films=2)
    for planned in plan.tasks:
        assert planned.microscope.film == "s23"
        sweep = planned.waveform.build()
        assert (len(sweep), sweep.duration) == (65, pytest.approx(1.0))
        assert [sweep.voltage.min(), sweep.voltage.max()] == pytest.approx([-1.5, 1.5])
    assert "Grains seen: " in seen(plan)
    with pytest.raises(DataError, match=r"currents.*got V.*--film"):
        advice_campaign(recorded(tmp_path / "loops.h5", "V"), task)


def test_noise_is_advised_on_with_a_caution_and_no_image_not_at_all(tmp_path):
    noise = 1e-9 * np.random.default_rng(0).standard_normal((64, 64))
    for size, name in ((2e-8, "noise.gwy"), (1e-10, "atoms.gwy")):
        scan = Scan(channels={"height": noise}, units={"height": "m"}, pixel_size=(size, size))
        write_gwy(scan, tmp_path / name)
    assert "before you trust this" in seen(advice_campaign(tmp_path / "noise.gwy", TASK))
    with pytest.raises(DataError, match=r"in the likeness of an image only.*smallest grain"):
        advice_campaign(tmp_path / "atoms.gwy", TASK)


def errors(plan, course):
    """Tables in which (policy, images) has these errors at 10, 20 and 40 curves of two films."""
    rows = [
        {
            "task": plan.tasks[images].id,
            "film": film,
            "policy": policy,
            "n": n,
            "own_nrmse": e + 0.01 * film,
        }
        for (policy, images), values in course.items()
        for n, e in zip((10, 20, 40), values, strict=True)
        for film in range(2)
    ]
    return Tables(steps=pd.DataFrame(), maps=pd.DataFrame(rows), timings=pd.DataFrame())


def test_the_best_policy_is_advised_at_the_smallest_budget_that_does(plan, tmp_path):
    tables = errors(
        plan,
        {
            ("random", 0): (1, 0.9, 0.8),
            ("random", 1): (0.9, 0.8, 0.7),
            ("dkl", 1): (0.8, 0.41, 0.4),
        },
    )
    found = advise(plan, tables)
    assert (found.policy.name, found.images, found.task.curves) == ("dkl", "height and current", 20)
    assert found.expected["low"] <= found.expected["error"] == pytest.approx(0.415)
    assert advise(plan, tables, error=0.9).task.curves == 10
    with pytest.raises(ConfigError, match=r"at least 0\.4.*got 0\.1"):
        advise(plan, tables, error=0.1)
    made = parse(RunConfig, tomllib.loads(found.experiment(tmp_path)), "advice.toml")
    assert made.task.channels == ("height", "current")
    assert isinstance(made.task.microscope, Topography)
    assert made.task.microscope.new_films is None  # the user's own grains


def test_what_cannot_be_raced_is_refused_before_the_first_film(plan, tmp_path):
    file = plan.tasks[0].microscope.file
    with pytest.raises(ConfigError, match="closest: 'dkl'"):
        advice_campaign(file, TASK, policies=[PolicySpec(name="dlk")])
    with pytest.raises(ConfigError, match="s62"):
        advice_campaign(file, TASK, film="s62")
    with pytest.raises(ConfigError, match="finished cells"):
        advise(plan, errors(plan, {}))
