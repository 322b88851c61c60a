"""One function a figure, in one style; each takes arrays or a table and returns a Figure.

    with style():                        # the house style for your own drawings
        ...
    learning_curves(table, "found", references={"ideal": "found_ideal"}).savefig("curve.png")

`latent_map`, `latent_comparison`, `latent_archetypes` and `latent_scatter` come with torch, imported when
one is asked for.
Arguments are SI; axes show nA, nm and the like.  Colours are those of Okabe and Ito, and policies
differ by line or marker as well.  A Figure is not registered with pyplot: it needs no closing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
