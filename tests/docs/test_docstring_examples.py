"""Every example in a docstring runs and gives the result that it shows."""

import doctest
import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules_with_examples() -> list[str]:
    names = set()
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            examples = [x for x in path.read_text("utf-8").splitlines() if ">>> " in x]
            if not all("+SKIP" in x for x in examples):
                parts = path.relative_to(ROOT / folder).with_suffix("").parts
                names.add(".".join((package, *parts)).removesuffix(".__init__"))
    return sorted(names)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_a_module_run(name):
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert tried > 0
    assert failed == 0


def test_the_loop_has_an_example():
    assert "grainscout.experiment" in modules_with_examples()
