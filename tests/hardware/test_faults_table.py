"""The record of faults names tests that exist."""

import re
from pathlib import Path

HERE = Path(__file__).parent
RECORD = HERE.parents[1] / "docs" / "decisions" / "0435-faults-and-their-tests.md"


def test_every_test_that_the_record_names_exists():
    named = set(re.findall(r"`(test_\w+)`", RECORD.read_text(encoding="utf-8")))
    code = "".join(path.read_text(encoding="utf-8") for path in HERE.rglob("test_*.py"))
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in code} == set()
