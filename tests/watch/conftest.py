"""A finished run, and journals that are told by hand."""

import pytest
from flights import film_of, flown, scope_on

from grainscout.policies import make_policy

SEED = 3


@pytest.fixture(scope="session")
def film():
    return film_of(SEED)


@pytest.fixture(scope="session")
def night(film):
    """Makes a run: 14 curves by a learning policy, in a journal of that name."""

    def make(path, curves=14, policy="dkl", options=None, instrument="reference", **settings):
        config = {"policy": {"name": policy, "options": options or {}}, "max_failures": 10}
        scope, made = scope_on(film, SEED, instrument), make_policy(policy, options or {})
        flown(scope, made, SEED, path, curves=curves, config=config, **settings)
        return path

    return make


@pytest.fixture(scope="session")
def finished(night, tmp_path_factory):
    """The journal of a run that has ended."""
    return night(tmp_path_factory.mktemp("finished") / "night.gsj")
