"""The regression test of models: unchanged ones pass every time, damaged ones do not."""

import dataclasses
import json

import numpy as np
import pytest

from grainscout.analysis.curves.descriptors import describe_all
from grainscout.benchmarks import regression as regress
from grainscout.benchmarks.regression import FILM_NAMES, MODELS, check, compare, film_case
from grainscout.benchmarks.regression.baseline import read_baseline
from grainscout.benchmarks.regression.scores import score_model
from grainscout.records import DataError

FILMS, SITES = len(FILM_NAMES), 113 * 113


def test_plain_values_are_the_descriptors_of_noiseless_curves():
    for film in FILM_NAMES[:2]:
        truth, voltage = regress.film_truth_of(film), film_case(film).voltage
        found = describe_all(truth.values, voltage, truth.current)
        for name, value in truth.values.items():
            good = found[name].valid & ~found[name].censored & np.isfinite(value)
            assert good.mean() > 0.8
            np.testing.assert_allclose(found[name].value[good], value[good], rtol=0.02)


def test_what_a_model_is_shown_holds_no_truth():
    assert {f.name for f in dataclasses.fields(regress.FilmCase)} == {"name", "problem", "outcomes"}


def test_scores_at_their_landmarks():
    film = FILM_NAMES[0]
    truth, case = regress.film_truth_of(film), film_case(film)
    n = len(case.sites)
    perfect = {
        "archetype": truth.archetype,
        "boundary": -truth.film.structure.boundary_distance,
        "mean": np.nan_to_num(truth.task.target),
        **truth.values,
    }
    scores = score_model(lambda _: perfect, film)
    for name, value in scores.items():
        higher = regress.METRICS[name].higher_is_better
        assert value == pytest.approx(1.0 if higher else 0.0, abs=1e-12)
    flat = np.zeros(truth.film.shape)
    scores = score_model(
        lambda _: {"archetype": np.zeros(n), "boundary": flat, "turn_on": np.full(n, np.nan)}, film
    )
    assert scores["archetype_accuracy"] == pytest.approx(1 / len(np.unique(truth.archetype)))
    assert scores["boundary_auc"] == 0.5
    assert scores["turn_on_error"] == 1.0  # silence is worth a constant guess


def test_archetypes_in_a_map_at_their_landmarks():
    film = FILM_NAMES[0]
    truth, n = regress.film_truth_of(film).archetype, len(film_case(film).outcomes)

    def scored(points):
        return score_model(lambda _: {"latent": points}, film)["latent_archetypes"]

    apart = np.column_stack([truth, truth % 2]) + np.random.default_rng(0).normal(0, 0.05, (n, 2))
    assert scored(apart) == 1.0
    kinds = sum((truth == k).sum() >= 5 for k in np.unique(truth))
    chance = np.mean([scored(np.random.default_rng(s).normal(size=(n, 2))) for s in range(20)])
    assert chance == pytest.approx(1 / kinds, abs=0.07)
    with pytest.raises(DataError, match="latent must be finite"):
        scored(np.zeros((3, 2)))


@pytest.mark.parametrize("name", ["surrogate-nngp", "policy-dual-novelty"])
def test_a_surrogate_and_a_policy_give_their_scores_again(name):
    first = score_model(MODELS[name], FILM_NAMES[3])
    score_model(MODELS[name], FILM_NAMES[4])  # what was asked in between leaves no trace
    assert score_model(MODELS[name], FILM_NAMES[3]) == first


@pytest.mark.parametrize("name", ["reader", "latent-rotation", "latent-dual", "forensics"])
def test_an_unchanged_model_has_its_baseline(name):
    """Training is a pure function of data and seed, so that nothing has to be forgiven."""
    film, path = FILM_NAMES[5], regress.BASELINES / f"{name}.json"
    before = read_baseline(path, model=name, version=MODELS[name].version, update="").scores
    now = {key: values.copy() for key, values in before.items()}
    for key, value in score_model(MODELS[name], film).items():
        now[key][FILM_NAMES.index(film)] = value
    assert {c.outcome for c in compare([(name, before, now)])} == {"unchanged"}


def test_scatter_without_a_change_is_rarely_called_one():
    rng = np.random.default_rng(0)
    runs, wrong = 400, 0
    old = {f"score {k}": np.full(FILMS, 1.0) for k in range(8)}
    for _ in range(runs):
        new = {k: v + rng.normal(0, 0.2, FILMS) for k, v in old.items()}
        found = {c.outcome for c in compare([("model", old, new)])}
        wrong += found != {"no clear change"}
    assert wrong / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_change_too_small_to_matter_is_none_however_sure():
    old = {"found": np.linspace(0.4, 0.6, FILMS)}
    jitter = 1e-5 * np.sin(np.arange(FILMS))
    margin = regress.METRICS["found"].margin
    (small,) = compare([("model", old, {"found": old["found"] - 0.9 * margin + jitter})])
    (large,) = compare([("model", old, {"found": old["found"] - 1.1 * margin + jitter})])
    (gain,) = compare([("model", old, {"found": old["found"] + 1.1 * margin + jitter})])
    error = {"map_error": old["found"]}  # of which less is better
    (up,) = compare([("model", error, {"map_error": old["found"] + 1.1 * margin + jitter})])
    assert (up.outcome, up.worst_film) == ("worse", FILM_NAMES[int(jitter.argmax())])
    assert small.p_adjusted < 1e-6
    assert (small.outcome, large.outcome, gain.outcome) == ("no clear change", "worse", "better")


def test_asking_more_questions_asks_for_more_evidence():
    rng = np.random.default_rng(3)
    old = {f"score {k}": np.ones(FILMS) for k in range(40)}
    new = {k: v + rng.normal(0, 0.1, FILMS) for k, v in old.items()}
    drop = rng.normal(0, 0.1, FILMS)
    new["score 0"] = 1.0 - 0.06 + drop - drop.mean()
    alone = compare([("model", {"score 0": old["score 0"]}, {"score 0": new["score 0"]})])
    assert alone[0].outcome == "worse"
    assert compare([("model", old, new)])[0].outcome == "no clear change"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "a policy or a mapping"),
        (3.0, "a policy or a mapping"),
        ({"archetype": np.zeros(3)}, "must be an array of shape"),
        ({"strange": np.zeros(3)}, "score of your own"),
        ({"mine": np.nan}, "finite number"),
        ({"policy": object()}, "reset, ask and tell"),
        ({"boundary": np.full((128, 128), np.nan)}, "finite at every pixel"),
        ({"mean": np.full(SITES, np.nan), "std": np.ones(SITES)}, "finite at every candidate"),
    ],
)
def test_an_unusable_answer_is_an_error_that_names_the_film(answer, said):
    with pytest.raises(DataError, match=said) as error:
        score_model(lambda _: answer, FILM_NAMES[1])
    assert FILM_NAMES[1] in str(error.value)


def own(case):
    return {"mine": float(np.abs(case.current).max() * 1e9)}


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "own.json"
    regress.update("own", own, path)
    return path


def spoil(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(version="0"), "of its version ''"),
        (lambda c: c.update(format=0), "format 1"),
        (lambda c: c.update(films={"s26-0": [1e-9]}), "of the films s26-0, s23-0"),
        (lambda c: c["films"].update({"s26-1": [1e-9, 1e-9, 1e-9]}), "film s26-1 now has"),
        (lambda c: c["scores"].update(mine=[1.0]), "finite numbers for each score"),
        (lambda c: c["scores"].update(mine=[None] * FILMS), "mine"),
        (lambda c: c["scores"].update(other=c["scores"].pop("mine")), "scores of its baseline"),
        (lambda c: c.pop("scores"), "damaged"),
    ],
)
def test_a_baseline_of_something_else_is_an_error_that_tells_how_to_update(stored, change, said):
    spoil(stored, change)
    with pytest.raises(regress.BaselineError, match=said) as error:
        check({"own": own}, lambda _: stored)
    assert "grainscout regress --update --model own" in str(error.value)


def test_a_missing_baseline_is_said_before_anything_is_scored(tmp_path):
    def never(case):
        raise AssertionError("scored")

    with pytest.raises(regress.BaselineError, match="there is none"):
        check({"never": never}, lambda _: tmp_path / "none.json")


@pytest.mark.parametrize("name", MODELS)
def test_the_stored_baselines_are_of_the_present_films_and_definitions(name):
    path = regress.BASELINES / f"{name}.json"
    read_baseline(path, model=name, version=MODELS[name].version, update="")
