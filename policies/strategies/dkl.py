"""Deep-kernel learning of a descriptor, the same blind to the image, and its control."""

from dataclasses import dataclass

import numpy as np

from grainscout.policies.parts.roles import RunContext, TrainingData
from grainscout.policies.parts.standard import DescriptorTarget, PlaneFeatures, PlaneModel
from grainscout.policies.recipe import Recipe
from grainscout.records import IntArray

dkl = Recipe(
    "DKL",
    """Learns the map of one descriptor from the image around each site, and measures accordingly.

    Deep-kernel active learning of Liu2023, with a surrogate in closed form.
    """,
)

kriging = Recipe(
    "Kriging",
    """A Gaussian process on the positions of the sites, blind to the image.

    What a map of the target gives without any use of the image: the baseline of every claim that
    structure predicts function. Otherwise as ``"dkl"``.
    """,
    features=PlaneFeatures(),
    model=PlaneModel(),
    never=("features", "position", "channels", "window", "components"),
)


@dataclass(frozen=True, kw_only=True)
class ShuffledTarget(DescriptorTarget):
    """A descriptor of the curves, shuffled among the sites."""

    def begin(self, run: RunContext) -> None:
        """Draw the seed of the permutation."""
        run.carried["_shuffle_seed"] = int(run.rng.integers(2**63))

    def data(self, run: RunContext) -> TrainingData:
        """Values of the usable curves, each at the site of another one."""
        rows, y, noise = run.targets()
        order = growing_permutation(len(y), run.carried["_shuffle_seed"])
        return TrainingData(rows, y[order], noise[order])


def growing_permutation(n: int, seed: int) -> IntArray:
    """A uniform permutation of n. That of n + 1 differs from it in one place and the new one."""
    order = np.arange(n)
    for k in range(1, n):
        j = int(np.random.default_rng([seed, k]).integers(k + 1))
        order[k], order[j] = order[j], k
    return order


shuffled_dkl = Recipe(
    "ShuffledDKL",
    """Control: DKL that learns from measured values shuffled among the sites.

    The sites, the kernel and the values' distribution are those of ``"dkl"``. Only what the image
    could say about the target is gone. Each new value trades places with one earlier value (an
    inside-out Fisher-Yates shuffle), so that the wrong assignment is nearly constant and uniform
    over all permutations.
    """,
    target=ShuffledTarget(),
)
