"""The studies run, score what they say, and leave finished films alone."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


def study(name: str):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_latent_study_runs_and_goes_on_where_it_stopped(tmp_path, capsys):
    latent, out = study("latent"), tmp_path / "rows.jsonl"
    latent.main(["--smoke", "--out", str(out), "--models", "regressors", "published"])
    said, before = capsys.readouterr().out, out.read_text()
    rows = [json.loads(line) for line in before.splitlines()]
    assert {r["model"] for r in rows} == {
        "forest on true maps", "forest on patches", "forest, exchanged", "kernel ridge on patches", "published",
    }  # fmt: skip
    assert "tiny, random: published" in said
    latent.main(["--smoke", "--out", str(out), "--models", "regressors", "published"])
    assert out.read_text() == before


def test_the_same_scores_for_any_map_at_their_landmarks():
    """Points that are the archetype itself against points that are noise."""
    latent = study("latent")
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 200).astype(np.uint8)
    pairs = latent.Pairs(
        patches=np.zeros((200, 1, 4, 4)), current=np.zeros((200, 5)), archetype=kinds, structure=np.zeros((200, 3))
    )  # fmt: skip
    told = np.column_stack([kinds, -1.0 * kinds]) + rng.normal(0, 0.05, (200, 2))
    noise = rng.normal(size=(200, 2))
    known, test = np.arange(150), np.arange(150, 200)
    good = latent.scores(told, told + rng.normal(0, 0.05, (200, 2)), pairs, known, test)
    assert good["rank"] < 0.2
    assert good["image archetypes"] == good["spectrum archetypes"] == 1.0
    assert good["R2"] > 0.9
    none = latent.scores(noise, told, pairs, known, test)
    assert none["rank p"] > 0.01
    assert none["image archetypes"] < 0.6
    assert none["R2"] < 0.2


def test_the_table_of_faults(capsys):
    study("descriptor_faults").main(["--smoke"])
    said = capsys.readouterr().out.splitlines()
    rows = {line.split("|")[1].strip(): line for line in said if line.startswith("| ")}
    quiet, severe = (float(rows[r].split("|")[2]) for r in ("none", "all-severe"))
    assert quiet > 0.75 > severe


def test_the_page_of_the_real_curves(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAINSCOUT_DATA", str(shared_data))
    found = study("latent_real").make_page(tmp_path, smoke=True)
    assert {p.name for p in tmp_path.iterdir()} == {
        "index.html", "cards.png", "image.png", "spectrum.png", "simulated.latent",
    }  # fmt: skip
    page = (tmp_path / "index.html").read_text()
    assert page.count("<tr") == 15  # a head of two rows and the 13 curves
    assert "insulating" in page
    assert 0 <= found["images extrapolated"] <= 13


def test_without_the_real_curves_it_says_where_they_should_be(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAINSCOUT_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="real data must be at"):
        study("latent_real").main([str(tmp_path / "out")])
