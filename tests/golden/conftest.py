"""The film that the golden files are of."""

import pytest
from golden_rig import unpacked

from grainscout.simulator import Film


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    return Film.load(unpacked("film.h5", tmp_path_factory.mktemp("film")))
