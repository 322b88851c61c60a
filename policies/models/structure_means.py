"""Physical causes of a site's conduction: mean functions of its place in the microstructure.

Everything is estimated from the image that the policy is given. The truth of a simulated film is
never used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from grainscout.microstructure.features import StructureFeatures
from grainscout.policies.models.kernels import Kernel, Pull
from grainscout.records import AnyFloatArray, FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class MeanModel:
    """A physical model of the target, linear in all but its shape parameters."""

    name: str  #: Name of the model
    #: Function of (n, d) covariates and (q,) shape parameters that gives (n, p) columns.
    basis: Callable[[FloatArray, FloatArray], FloatArray]
    #: Prior standard deviations of the coefficients, in deviations of the target, (p,).
    scale: FloatArray
    #: Normal prior (mean, standard deviation) of the shape parameters, (q, 2).
    shape: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    names: tuple[str, ...] = ()  #: Names of the p coefficients


_DECAYS = (1.5, 4.0)  # lengths over which a boundary's or a junction's influence falls off [pixels]


def _decays(distance: FloatArray) -> list[FloatArray]:
    return [np.exp(-distance / length) for length in _DECAYS]


def _asymmetric(m: StructureFeatures) -> list[FloatArray]:
    near = np.exp(-m.boundary / _DECAYS[-1])
    return [near * m.asymmetry, near * abs(m.asymmetry)]


_COLUMNS: Mapping[str, Callable[[StructureFeatures], list[FloatArray]]] = {
    "boundary": lambda m: _decays(m.boundary),
    "junction": lambda m: _decays(m.junction),
    "asymmetry": _asymmetric,
    "topography": lambda m: [m.curvature, m.slope, m.thickness],
    "grain": lambda m: [m.grain_height, m.grain_size],
}
_NAMES: Mapping[str, tuple[str, ...]] = {
    "boundary": tuple(f"boundary, {d:g} px" for d in _DECAYS),
    "junction": tuple(f"junction, {d:g} px" for d in _DECAYS),
    "asymmetry": ("asymmetry", "|asymmetry|"),
    "topography": ("curvature", "slope", "thickness"),
    "grain": ("grain height", "grain size"),
}

#: Hypotheses about a film: nothing but the residual, one cause, or all of them together.
HYPOTHESES = ("constant", *_COLUMNS, "all")


def film_model(names: tuple[str, ...], found: StructureFeatures) -> tuple[MeanModel, FloatArray]:
    """The mean model of these causes, and its (pixels, p) standardised covariates, a constant first."""
    causes = tuple(_COLUMNS) if "all" in names else tuple(n for n in names if n != "constant")
    columns = [np.ones(found.label.size)]
    titles = ["constant"]
    for cause in causes:
        for title, column in zip(_NAMES[cause], _COLUMNS[cause](found), strict=True):
            spread = float(column.std())
            columns.append((column.ravel() - column.mean()) / (spread if spread > 0 else 1.0))
            titles.append(title)
    model = MeanModel(
        name=" + ".join(causes) or "constant",
        basis=lambda z, _: z,
        scale=np.array([1.0] + [0.5] * (len(columns) - 1)),
        names=tuple(titles),
    )
    return model, np.column_stack(columns)


@dataclass(frozen=True, kw_only=True)
class GrainEffect:
    """A kernel plus a random level of each grain, whose label is the last feature; t gains its log variance."""

    inner: Kernel

    @property
    def prior(self) -> FloatArray:
        """The inner kernel's, and a weak one on the levels."""
        return np.vstack([self.inner.prior, (-1.5, 1.0)])

    def prepare(self, x: FloatArray) -> FloatArray:
        """The inner kernel's preparation and the mask of pairs in one grain, stacked."""
        label = x[:, -1]
        return np.stack([self.inner.prepare(x[:, :-1]), label[:, None] == label])

    def gram(self, prepared: FloatArray, t: FloatArray) -> tuple[FloatArray, Pull]:
        """See :class:`Kernel`."""
        k, pull = self.inner.gram(prepared[0], t[:-1])
        shared = np.exp(t[-1]) * prepared[1]
        return k + shared, lambda grad: np.append(pull(grad), np.vdot(grad, shared))

    def against(self, a: AnyFloatArray, t: FloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
        """See :class:`Kernel`."""
        return lambda b: self.cross(a, b, t)

    def cross(self, a: AnyFloatArray, b: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        """See :class:`Kernel`."""
        k = self.inner.cross(a[:, :-1], b[:, :-1], t[:-1])
        shared = np.asarray(np.exp(t[-1]) * (a[:, -1:] == b[:, -1]), k.dtype)
        return np.asarray(k + shared)

    def diagonal(self, x: AnyFloatArray, t: FloatArray) -> FloatArray:
        """See :class:`Kernel`."""
        return np.asarray(self.inner.diagonal(x[:, :-1], t[:-1]) + np.exp(t[-1]))
