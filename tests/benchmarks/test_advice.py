"""Advice: films are like the image, and policy, images and budget follow from the errors."""

import tomllib

import numpy as np
import pandas as pd
import pytest

from grainscout.analysis.formats import write_gwy
from grainscout.benchmarks import PolicySpec, Task
from grainscout.benchmarks.advice import advice_campaign, advise
from grainscout.benchmarks.campaign.tables import Tables
from grainscout.benchmarks.tasks.microscopes import Topography
from grainscout.config.run import RunConfig, parse
from grainscout.records import ConfigError, Scan
from grainscout.simulator import Film, FilmSpec
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
