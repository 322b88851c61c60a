"""The architecture page names files and layers that exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATHS = re.findall(r"^### (.+?)\n(.*?)(?=^##)", PAGE, re.M | re.S)


@pytest.mark.parametrize(("title", "text"), PATHS, ids=lambda t: t[:30])
def test_each_file_of_a_path_exists_and_is_listed_once(title: str, text: str) -> None:
    files = re.findall(r"^\d+\. `([^`]+)`", text, re.M)
    assert len(files) > 5, title
    assert len(set(files)) == len(files)
    for file in files:
        assert (ROOT / file).is_file() or (ROOT / "src/grainscout" / file).is_file(), file


def test_there_are_four_paths() -> None:
    assert len(PATHS) == 4


def test_the_layers_are_those_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checked = project["tool"]["importlinter"]["contracts"][0]["layers"][::-1]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.M)
    layers = [[name for number, name in rows if int(number) == k + 1] for k in range(len(checked))]
    assert [sorted(x) for x in layers] == [
        sorted(part.strip().removeprefix("grainscout.") for part in line.split("|"))
        for line in checked
    ]
