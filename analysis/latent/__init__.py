"""Latent maps of patches and curves.

::

    patches --RotationVAE--> content (rotation and shift removed), angle, shift
    patches and spectra of the same sites --DualVAE--> one map for both --judge--> held-out scores
                                               |
                                               +--decoded_map--> pictures, extrapolation marked

Angle and shift of a patch are *searched*, by comparison with its decoded content at every rotation
and shift, and not guessed by a network. They enter the decoder as coordinates, so that a rotated
patch has the same content and another angle. A map is then scored on unseen pairs: retrieval of
spectra from images and separation of classes, against chance.

``PublishedDualVAE`` is the published procedure with its faults, for comparison. In the analysis only
this package imports torch. Models are float32, on one thread, and a pure function of data and seed.
Pictures are `grainscout.analysis.latent.figures`.
"""

from grainscout.analysis.latent.dual import DualOptions, DualVAE
from grainscout.analysis.latent.figures import latent_archetypes as latent_archetypes
from grainscout.analysis.latent.figures import latent_comparison as latent_comparison
from grainscout.analysis.latent.figures import latent_map as latent_map
from grainscout.analysis.latent.figures import latent_scatter as latent_scatter
from grainscout.analysis.latent.maps import DecodedMap as DecodedMap
from grainscout.analysis.latent.maps import decoded_map
from grainscout.analysis.latent.networks import Training
from grainscout.analysis.latent.patches import patches_at
from grainscout.analysis.latent.published import PublishedDualVAE
from grainscout.analysis.latent.report import DualReport, judge
from grainscout.analysis.latent.rotation import ImageOptions, Latents, RotationVAE
from grainscout.analysis.latent.scores import retrieval, separation
from grainscout.analysis.latent.store import load_model, save_model

__all__ = [
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
    "load_model",
    "patches_at",
    "retrieval",
    "save_model",
    "separation",
]
