"""Latent maps: what patches and curves look like, whichever way they lie, and whether it means much.

::

    patches --RotationVAE--> content (turn and shift taken out), angle, shift
    patches and spectra of the same sites --DualVAE--> one map for both --judge--> held-out numbers
                                               |
                                               +--decoded_map--> pictures, extrapolation marked

The core idea: angle and shift of a patch are *searched*, by comparing it with its decoded content at
every turn and shift, rather than guessed by a network.  They reach the decoder as coordinates, so
that a turned patch has the same content and another angle.  A map is then held to account on pairs
that it has never seen: does an image find its spectrum, do classes lie apart, against chance.

``PublishedDualVAE`` is the published procedure with its faults, for comparison.  torch is imported
here and nowhere else in the analysis.  Models are float32, on one thread, and a pure function of
data and seed.
"""

from grainscout.analysis.latent.dual import DualOptions, DualVAE
from grainscout.analysis.latent.figures import (
    latent_archetypes,
    latent_comparison,
    latent_map,
    latent_scatter,
)
from grainscout.analysis.latent.maps import DecodedMap, decoded_map
from grainscout.analysis.latent.patches import patches_at
from grainscout.analysis.latent.published import PublishedDualVAE
from grainscout.analysis.latent.report import DualReport, judge
from grainscout.analysis.latent.rotation import ImageOptions, Latents, RotationVAE
from grainscout.analysis.latent.scores import retrieval, separation
from grainscout.analysis.latent.store import load_model, save_model
from grainscout.analysis.latent.training import Training

__all__ = [
    "DecodedMap",
    "DualOptions",
    "DualReport",
    "DualVAE",
    "ImageOptions",
    "Latents",
    "PublishedDualVAE",
    "RotationVAE",
    "Training",
    "decoded_map",
    "judge",
    "latent_archetypes",
    "latent_comparison",
    "latent_map",
    "latent_scatter",
    "load_model",
    "patches_at",
    "retrieval",
    "save_model",
    "separation",
]
