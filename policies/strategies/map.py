"""The map: a pretrained surrogate of the image and the curves, and sites that serve its map best."""

from grainscout.policies.parts.pretrained import Design, PretrainedModel
from grainscout.policies.recipe import Recipe

map_ = Recipe(
    "Map",
    """Maps one descriptor with what simulated films taught, corrected by the run's own curves.

    The image is read by a network, a hierarchical Gaussian process that was trained on many
    simulated films and targets says what depends on what, and sites are those that lower the mean
    variance of its map most. A generic process stands beside it. The two are mixed by what each
    predicts of curves that it has not seen, so a film of another material is safe.
    """,
    model=PretrainedModel(),
    acquisition=Design(),
    seed_design="planned",
)
