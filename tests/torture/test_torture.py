"""The short version of every torture check: nothing is lost."""

import pytest
from tally import Check, all_checks

CHECKS = all_checks()


@pytest.mark.torture
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_nothing_is_lost(check: Check) -> None:
    tallies = check("short")
    assert tallies
    for tally in tallies:
        assert tally.tried > 0, tally
        assert tally.lost == 0, tally
