"""Figures in one style, one function for each.

For example::

    with style():                        # the common style for your own drawings
        ...
    learning_curves(table, "found", references={"ideal": "found_ideal"}).savefig("curve.png")

Arguments are SI, and axes show nA, nm and the like. Colours are those of Okabe and Ito, and policies
differ by line or marker as well. A Figure is not registered with pyplot and needs no closing.

`latent_map`, `latent_comparison`, `latent_archetypes` and `latent_scatter` import torch when used.
"""

import io
import sys
from typing import Any

from grainscout.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)


def _show_in_notebooks() -> None:
    """Let a notebook show a Figure as a picture, also without ``%matplotlib inline``."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return

    def png(figure: Any) -> bytes:
        data = io.BytesIO()
        figure.savefig(data, format="png", bbox_inches="tight")
        return data.getvalue()

    formatter = shell.display_formatter.formatters["image/png"]
    formatter.for_type_by_name("matplotlib.figure", "Figure", png)


_show_in_notebooks()
