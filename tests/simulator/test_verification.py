"""Known behaviour, recomputed: every check passes, and a failed one is reported."""

import numpy as np
import pytest
from typer.testing import CliRunner

from grainscout.cli import app
from grainscout.records import DataError
from grainscout.simulator.verification import Check, verify, verify_film


def test_every_known_behaviour_of_transport_is_kept():
    checks = verify()
    assert len(checks) > 30
    assert [c for c in checks if not c.passed] == []


def test_every_known_fact_of_films_and_scans_is_kept(shared_data):
    checks = verify_film(shared_data / "real_iv" / "real_iv_13.npz")
    assert len(checks) >= 21
    assert [c.name for c in checks if not c.passed] == []


def test_a_check_outside_its_range_fails():
    assert not Check(name="x", value=1.1, high=1.0).passed
    assert not Check(name="x", value=float("nan"), low=0.0).passed
    assert Check(name="x", value=0.0, low=0.0, high=0.0).target == "= 0"


def test_a_missed_target_fails_the_command(monkeypatch):
    missed = [Check(name="x", value=2.0, high=1.0)]
    monkeypatch.setattr("grainscout.simulator.verification.verify", lambda path: missed)
    monkeypatch.setattr("grainscout.simulator.verification.verify_film", lambda path: [])
    result = CliRunner().invoke(app, ["simulate", "--verify"])
    assert result.exit_code == 1
    assert "missed" in result.output


@pytest.mark.parametrize("check", [verify, verify_film])
def test_a_foreign_file_is_refused(tmp_path, check):
    np.savez(tmp_path / "foreign.npz", something=np.zeros(3))
    with pytest.raises(DataError, match="foreign"):
        check(tmp_path / "foreign.npz")
