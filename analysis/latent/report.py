"""Scores of a dual model on held-out pairs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grainscout.analysis.latent.dual import DualVAE
from grainscout.analysis.latent.patches import checked
from grainscout.analysis.latent.scores import (
    Retrieval,
    Separation,
    canonical_correlations,
    explained,
    retrieval,
    separation,
)
from grainscout.records import BoolArray, DataError, FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class DualReport:
    """Held-out scores of a dual model."""

    #: retrieval, linked: Of spectra by distance from the images' points, and from the points that
    #: the regression predicts
    retrieval: Retrieval
    linked: Retrieval
    #: Share of the spectra's variance explained from images (under 0: worse than the mean)
    predicted: float
    #: image_explained, spectrum_explained: Share of the variance that each half reconstructs
    image_explained: float
    spectrum_explained: float
    correlations: FloatArray  #: Canonical correlations, (d,)
    #: image, spectrum, joint: Of the labels in each latent space, if there are labels
    image: Separation | None
    spectrum: Separation | None
    joint: Separation | None
    #: active_image, active_spectrum: Latents in use, (d,)
    active_image: BoolArray
    active_spectrum: BoolArray
    condition: float  #: Condition number of A
    n: int  #: Number of held-out pairs

    def lines(self) -> list[str]:
        """Describe the scores, one per line."""
        by_point, by_regression = self.retrieval, self.linked
        text = [
            f"held-out pairs: {self.n}",
            f"spectrum retrieved from image: mean rank {by_point.rank:.3f} (chance 0.5), "
            f"first {by_point.first:.2f}, p = {by_point.p_value:.2g}",
            f"spectrum retrieved by regression: mean rank {by_regression.rank:.3f}, "
            f"first {by_regression.first:.2f}, p = {by_regression.p_value:.2g}",
            f"variance of spectra explained by images: {self.predicted:.3f}",
            f"reconstruction: images {self.image_explained:.3f}, spectra {self.spectrum_explained:.3f}",
            "canonical correlations: " + ", ".join(f"{c:.2f}" for c in self.correlations),
            f"active latents: image {int(self.active_image.sum())} of {self.active_image.size}, "
            f"spectrum {int(self.active_spectrum.sum())} of {self.active_spectrum.size}",
        ]
        for name in ("image", "spectrum", "joint"):
            part = getattr(self, name)
            if part is not None:
                text.append(
                    f"classes in the {name} latent: balanced accuracy {part.balanced_accuracy:.3f} "
                    f"(chance {part.chance:.3f}), p = {part.p_value:.2g}, silhouette "
                    f"{part.silhouette:.2f}"
                )
        return text


def judge(
    model: DualVAE,
    patches: ArrayLike,
    spectra: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    permutations: int = 1999,
) -> DualReport:
    """Score a model on its test pairs.

    Parameters
    ----------
    model : DualVAE
        The fitted model.
    patches, spectra : arrays
        All pairs of the fit, in the same order.
    labels : (n,) array, optional
        Classes that the model has not seen, such as true archetypes. The nearest neighbours come
        from the training pairs.
    permutations : int
        Of the null distributions.
    """
    images, curves = checked(patches, "patches", 4), checked(spectra, "spectra", 3)
    train, stop, test = model.split.train, model.split.stop, model.split.test
    total = train.size + stop.size + test.size
    if len(images) != total or len(curves) != total:
        raise DataError(
            f"a report must be of the {total} pairs of the fit, in their order; got {len(images)} "
            f"patches and {len(curves)} spectra"
        )
    by_image = model.encode_image(images).content
    by_spectrum, _ = model.encode_spectrum(curves)
    null = {"permutations": permutations}

    def classes(latent: FloatArray) -> Separation | None:
        if labels is None:
            return None
        return separation(latent, labels, train=train, test=test, **null)

    return DualReport(
        retrieval=retrieval(by_image[test], by_spectrum[test], **null),
        linked=retrieval(model.expect(images[test]), by_spectrum[test], **null),
        **_explained(model, images[test], curves[test], by_spectrum[test]),
        correlations=canonical_correlations(
            by_image[test], by_spectrum[test], (by_image[train], by_spectrum[train])
        ),
        image=classes(by_image),
        spectrum=classes(by_spectrum),
        joint=classes(model.encode(images, curves)),
        active_image=model.active_image,
        active_spectrum=model.active_spectrum,
        condition=float(np.linalg.cond(model.alignment)),
        n=test.size,
    )


def _explained(
    model: DualVAE, images: FloatArray, curves: FloatArray, codes: FloatArray
) -> dict[str, float]:
    """Explained shares in the model's scaled units."""
    scaling = model.spectrum_scaling
    true = scaling.apply(curves)
    nothing = np.zeros_like(true)

    def scaled(spectra: FloatArray) -> FloatArray:
        return np.asarray((spectra - scaling.mean) / scaling.scale[:, None])

    seen = model.image_scaling.undo(model.image_scaling.apply(images))
    mean = np.zeros_like(seen) + model.image_scaling.mean
    return {
        "predicted": explained(true, scaled(model.predict_spectrum(images)), nothing),
        "image_explained": explained(seen, model.reconstruct_image(images), mean),
        "spectrum_explained": explained(true, scaled(model.decode_spectrum(codes)), nothing),
    }
