"""Maps."""
from grainscout.analysis.latent._rotation import ImageOptions, Latents, RotationVAE
from grainscout.analysis.latent._training import Training
