"""The table of the model's known behaviour."""

from __future__ import annotations

import numpy as np
import pytest

from grainscout.records import DataError
from grainscout.simulator.verification import transport as module
from grainscout.simulator.verification.transport import Check, verify


def test_every_known_behaviour_is_kept():
    checks = verify()
    assert len(checks) > 30
    assert [c for c in checks if not c.passed] == []


def test_a_check_outside_its_range_fails():
    assert not Check(name="x", value=1.1, high=1.0).passed
    assert not Check(name="x", value=float("nan"), low=0.0).passed
    assert Check(name="x", value=0.0, low=0.0, high=0.0).target == "= 0"


def test_the_table_reports_a_failure_in_its_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(module, "verify", lambda path: [Check(name="x", value=2.0, high=1.0)])
    assert module.main([]) == 1
    assert "FAIL x" in capsys.readouterr().out


def test_a_foreign_file_of_curves_is_refused(tmp_path):
    np.savez(tmp_path / "foreign.npz", something=np.zeros(3))
    with pytest.raises(DataError, match="foreign"):
        list(module._real(tmp_path / "foreign.npz"))
