"""Learnt maps, the reader and forensics under regress: damage is found, an unchanged fit is the same."""

import numpy as np
import pytest

from grainscout.analysis import forensics
from grainscout.benchmarks import regression as regress
from grainscout.benchmarks.regression import FILM_NAMES, MODELS, compare, film_case, film_truth_of
from grainscout.benchmarks.regression.baseline import read_baseline
from grainscout.benchmarks.regression.scores import score_model
from grainscout.records import DataError

WATCHED = ("reader", "latent-rotation", "latent-dual", "forensics")


def stored(name):
    path = regress.BASELINES / f"{name}.json"
    return read_baseline(path, model=name, version=MODELS[name].version, update="").scores


def outcomes(name, model, films=FILM_NAMES):
    """Outcomes of the scores that a model has on some films, the others as stored."""
    before = stored(name)
    now = {key: values.copy() for key, values in before.items()}
    for film in films:
        for key, value in score_model(model, film).items():
            now[key][FILM_NAMES.index(film)] = value
    return {c.score: c.outcome for c in compare([(name, before, now)])}


@pytest.mark.parametrize(("name", "film"), [(n, FILM_NAMES[5]) for n in WATCHED])
def test_an_unchanged_model_has_its_baseline(name, film):
    """Training is a pure function of data and seed, so that nothing has to be forgiven."""
    assert set(outcomes(name, MODELS[name], [film]).values()) == {"unchanged"}


def test_a_map_of_the_wrong_curves_is_found():
    """Its points are those of other sites: archetypes lie anywhere."""

    def damaged(case):
        rng = np.random.default_rng(0)
        return {"latent": rng.normal(size=(len(case.outcomes), 2)), "rebuilt": 0.0}

    assert outcomes("latent-dual", damaged) == {"latent_archetypes": "worse", "rebuilt": "worse"}


def test_forensics_that_read_the_wrong_rows_are_found(monkeypatch):
    """The sites are right, the patches are from elsewhere: what a run went for is not seen in them."""
    right = forensics.patch_components

    def wrong(image, candidates, **options):
        return right(np.asarray(image)[::-1], candidates, **options)

    monkeypatch.setattr(forensics, "patch_components", wrong)
    assert outcomes("forensics", MODELS["forensics"])["run_contrast"] == "worse"


def test_archetypes_in_a_map_at_their_landmarks():
    film = FILM_NAMES[0]
    truth, n = film_truth_of(film).archetype, len(film_case(film).outcomes)

    def scored(points):
        return score_model(lambda _: {"latent": points}, film)["latent_archetypes"]

    apart = np.column_stack([truth, truth % 2]) + np.random.default_rng(0).normal(0, 0.05, (n, 2))
    assert scored(apart) == 1.0
    kinds = sum((truth == k).sum() >= 5 for k in np.unique(truth))
    chance = np.mean([scored(np.random.default_rng(s).normal(size=(n, 2))) for s in range(20)])
    assert chance == pytest.approx(1 / kinds, abs=0.07)
    with pytest.raises(DataError, match="latent must be finite"):
        scored(np.zeros((3, 2)))
