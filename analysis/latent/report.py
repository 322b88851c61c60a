"""A dual model judged on pairs that neither trained it nor told it when to stop."""

from __future__ import annotations

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
from grainscout.records import DataError
from grainscout.records.arrays import BoolArray, FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class DualReport:
    """Held-out numbers of a dual model.

    retrieval : of spectra by the distance of images' and spectra's points;  linked : by that of the
    points where the regression expects them;  predicted : share of the spectra's variance that their
    images' latents explain (under 0: worse than the training mean);  image_explained,
    spectrum_explained : of each half by itself;  correlations (d,) : canonical, held out;  image,
    spectrum, joint : separation of given labels in each latent space, None without labels;
    active_image, active_spectrum (d,) : latents that say anything;  condition : of A, large where
    it all but loses a direction;  n : held-out pairs.
    """

    retrieval: Retrieval
    linked: Retrieval
    predicted: float
    image_explained: float
    spectrum_explained: float
    correlations: FloatArray
    image: Separation | None
    spectrum: Separation | None
    joint: Separation | None
    active_image: BoolArray
    active_spectrum: BoolArray
    condition: float
    n: int

    def lines(self) -> list[str]:
        """The report in words, a line a fact."""
        found = self.retrieval
        text = [
            f"held-out pairs: {self.n}",
            f"spectrum retrieved from image: mean rank {found.rank:.3f} (chance 0.5), "
            f"first {found.first:.2f}, p = {found.p_value:.2g}",
            f"spectrum retrieved by regression: mean rank {self.linked.rank:.3f}, "
            f"first {self.linked.first:.2f}, p = {self.linked.p_value:.2g}",
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
    seed: int = 0,
) -> DualReport:
    """The report for the pairs that the model was fitted to, in the same order.

    labels : (n,) classes, such as archetypes by truth; the model has not seen them.  Nearest
    neighbours come from the training pairs.  DataError if the pairs are not as many as those of
    the fit.
    """
    images, curves = checked(patches, "patches", 4), checked(spectra, "spectra", 3)
    parts = model.split
    total = parts.train.size + parts.stop.size + parts.test.size
    if len(images) != total or len(curves) != total:
        raise DataError(
            f"a report must be of the {total} pairs of the fit, in their order; got {len(images)} "
            f"patches and {len(curves)} spectra"
        )
    train, test = parts.train, parts.test
    encoded = model.encode_image(images)
    by_spectrum, _ = model.encode_spectrum(curves)
    by_image = encoded.content
    joint = model.encode(images, curves)
    # Everything is explained in the model's own, scaled units.
    true_curves = model.spectrum_scaling.apply(curves[test])
    scale = model.spectrum_scaling.scale[:, None]

    def scaled(spectra: FloatArray) -> FloatArray:
        return np.asarray((spectra - model.spectrum_scaling.mean) / scale)

    seen = model.image_scaling.undo(model.image_scaling.apply(images[test]))
    rebuilt = model.reconstruct_image(images[test])

    def classes(latent: FloatArray) -> Separation | None:
        if labels is None:
            return None
        return separation(
            latent, labels, train=train, test=test, permutations=permutations, seed=seed
        )

    return DualReport(
        retrieval=retrieval(
            by_image[test], by_spectrum[test], permutations=permutations, seed=seed
        ),
        linked=retrieval(
            model.expect(images[test]), by_spectrum[test], permutations=permutations, seed=seed
        ),
        predicted=explained(
            true_curves, scaled(model.predict_spectrum(images[test])), np.zeros_like(true_curves)
        ),
        image_explained=explained(seen, rebuilt, np.zeros_like(seen) + model.image_scaling.mean),
        spectrum_explained=explained(
            true_curves,
            scaled(model.decode_spectrum(by_spectrum[test])),
            np.zeros_like(true_curves),
        ),
        correlations=canonical_correlations(
            by_image[test], by_spectrum[test], (by_image[train], by_spectrum[train])
        ),
        image=classes(by_image),
        spectrum=classes(by_spectrum),
        joint=classes(joint),
        active_image=model.active_image,
        active_spectrum=model.active_spectrum,
        condition=float(np.linalg.cond(model.alignment)),
        n=test.size,
    )
