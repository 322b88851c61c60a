"""The data that come with the package open from where they lie, and show themselves in a notebook."""

import importlib
import sys
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from grainscout import datasets
from grainscout.analysis import figures
from grainscout.benchmarks import load


def test_film_grid_and_campaign_belong_together():
    film, grid = datasets.film(), datasets.grid()
    assert grid.scan.shape == film.structure.height.shape
    curve = grid.curve(grid.sites[100])
    assert np.nanmax(np.abs(curve.current)) > 1e-12
    data = load(datasets.campaign_folder())
    assert {"random", "dkl"} <= set(data.frame["policy"])
    assert not list(datasets.campaign_folder().glob("*-wal"))


def test_figures_are_pictures_in_a_notebook_without_its_magic(monkeypatch):
    taken = {}
    formatter = SimpleNamespace(for_type_by_name=lambda m, n, f: taken.update({f"{m}.{n}": f}))
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"image/png": formatter}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    importlib.reload(figures)
    monkeypatch.undo()
    assert taken["matplotlib.figure.Figure"](Figure()).startswith(b"\x89PNG")
