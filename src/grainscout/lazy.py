"""Packages that import a module when one of its names is asked for."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lazy_loader


def attach(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package, all of its stub beside `file`.

    Names that the stub imports but does not list are those of before: found, and not shown.
    """
    find, listed, _ = lazy_loader.attach_stub(package, file)
    stub = ast.parse(Path(f"{file}i").read_text("utf-8"))
    (names,) = (ast.literal_eval(n.value) for n in stub.body if isinstance(n, ast.Assign))
    return find, listed, names
