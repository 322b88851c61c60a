"""The printed table passes, and fails when something is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from grainscout.records import DataError
from grainscout.simulator.verification.film import verify_film


def test_all_checks_pass(shared_data):
    checks = verify_film(shared_data / "real_iv" / "real_iv_13.npz")
    assert len(checks) >= 19
    assert [c.name for c in checks if not c.passed] == []


def test_a_file_without_patches(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="with patches"):
        verify_film(tmp_path / "x.npz")
