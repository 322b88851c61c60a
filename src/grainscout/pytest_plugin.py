"""Fixtures to test a model against known truth.

For example::

    def test_my_classifier(assert_no_regression):
        assert_no_regression(lambda case: {"archetype": my_classifier(case.voltage, case.current)})

``film`` is what a model is shown of a film and ``truth`` what is true of it; a test that takes either
runs once on each of the sixteen films.  ``assert_no_regression`` scores a model on all of them and
fails if anything got significantly worse than the stored baseline, which ``pytest --grainscout-update``
writes.  See ``grainscout.benchmarks.regression`` for what a model may answer.

The plugin is loaded by every pytest that finds Grainscout installed, so it imports nothing else until
a fixture is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from grainscout.benchmarks.regression import FilmCase, FilmTruth, Model

_UPDATE = "--grainscout-update"
_FILMS = 16


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the flag that alone changes baselines."""
    parser.getgroup("grainscout").addoption(
        _UPDATE,
        action="store_true",
        help="make the present scores the baselines of assert_no_regression",
    )


@pytest.fixture(params=range(_FILMS))
def film(request: pytest.FixtureRequest) -> FilmCase:
    """One of the fixed films as a model sees it: image, candidate sites and noisy curves."""
    from grainscout.benchmarks.regression import FILM_NAMES, film_case

    return film_case(FILM_NAMES[request.param])


@pytest.fixture
def truth(film: FilmCase) -> FilmTruth:
    """What is true of `film`."""
    from grainscout.benchmarks.regression import film_truth_of

    return film_truth_of(film.name)


@pytest.fixture
def assert_no_regression(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``assert_no_regression(model, baseline=None)``: fail if the model got significantly worse.

    baseline : JSON file; by default ``baselines/<test file>-<test>.json`` beside the test.
    """

    def checking(model: Model, baseline: str | Path | None = None) -> None:
        __tracebackhide__ = True
        from rich.console import Console

        from grainscout.benchmarks import regression as regress
        from grainscout.records import GrainscoutError

        name = re.sub(r"[^\w.-]+", "-", f"{request.path.stem}-{request.node.name}")
        path = request.path.parent / "baselines" / f"{name}.json"
        path = path if baseline is None else Path(baseline)
        if request.config.getoption(_UPDATE):
            regress.update(name, model, path)
            return
        hint = f"Make a new one with: pytest {_UPDATE} {request.node.nodeid}"
        try:
            changes = regress.check({name: model}, lambda _: path, how_to_update=lambda _: hint)
        except GrainscoutError as error:
            pytest.fail(str(error), pytrace=False)
        if any(c.outcome == "worse" for c in changes):
            console = Console(width=100)
            with console.capture() as captured:
                console.print(regress.changes_table(changes))
            pytest.fail(f"{name} got significantly worse\n{captured.get()}", pytrace=False)

    return checking
