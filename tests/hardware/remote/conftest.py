import pytest

from grainscout.hardware.remote import generate_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    pytest.importorskip("zmq")
    return generate_keys(tmp_path_factory.mktemp("link") / "keys", clients=("microscope", "other"))
