"""Every package folder is in the wheel, and static stubs and data files with it."""

import importlib
import pkgutil
import tomllib
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]


def test_every_package_folder_is_packaged():
    found = set()
    for name, folder in SETUPTOOLS["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join((name, *init.parent.relative_to(ROOT / folder).parts)))
    assert len(found) > 30
    assert set(SETUPTOOLS["packages"]) == found


def test_every_data_file_is_packaged():
    patterns = SETUPTOOLS["package-data"]["*"]
    for folder in SETUPTOOLS["package-dir"].values():
        for file in (ROOT / folder).rglob("*"):
            inside = file.relative_to(ROOT / folder)
            if file.suffix not in {".json", ".npz", ".j2", ".pyi", ".toml"} or not file.is_file():
                continue
            package = next(
                p for p in inside.parents if (ROOT / folder / p / "__init__.py").exists()
            )
            assert any(inside.relative_to(package).match(p) for p in patterns), inside


def test_no_public_name_hides_a_module():
    # ``import a.b.c as x`` takes b from a, so a function b in a hides all modules of the folder b
    for name in SETUPTOOLS["packages"]:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__):
            found = getattr(package, module.name, None)
            assert found is None or isinstance(found, ModuleType), f"{name}.{module.name}: {found}"


def test_a_module_with_the_name_of_its_function_can_be_called():
    import grainscout.benchmarks.tasks.task as module
    from grainscout.analysis.figures import style
    from grainscout.benchmarks import tasks

    with style():
        assert isinstance(next(iter(tasks().values())), module.Task)
