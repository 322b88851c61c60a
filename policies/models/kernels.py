"""Covariance functions with few parameters and closed-form gradients.

Each kernel has log-parameters `t` and a log-normal prior on them. `gram` works in float64 and
gives, beside the matrix, a function that pulls a gradient with respect to the matrix back to one
with respect to `t`: no derivative matrix is ever formed. `cross` works in the dtype of its input.

The arc-cosine kernel is the covariance of an infinitely wide ReLU network of `depth` hidden layers
(Cho & Saul 2009, NIPS 22, and Lee et al. 2018, ICLR): a deep kernel in closed form.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from grainscout.records import AnyFloatArray, FloatArray

Pull = Callable[[FloatArray], FloatArray]


class Kernel(Protocol):
    """A covariance function of feature rows."""

    @property
    def prior(self) -> FloatArray:
        """(k, 2) mean and standard deviation of the log-parameters, which start at the means."""

    def prepare(self, x: FloatArray) -> FloatArray:
        """Statistics of (n, d) features that `gram` needs, computed once for a fit."""

    def gram(self, prepared: FloatArray, t: FloatArray) -> tuple[FloatArray, Pull]:
        """(n, n) matrix and its pull-back (n, n) -> (k,) for symmetric gradients."""

    def against(self, a: AnyFloatArray, t: FloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
        """b -> (len(a), len(b)) covariances with a. Each answer may overwrite the last one."""

    def cross(self, a: AnyFloatArray, b: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        """(len(a), len(b)) covariances."""

    def diagonal(self, x: AnyFloatArray, t: FloatArray) -> FloatArray:
        """(n,) variances."""


def arc_cosine(cosine: AnyFloatArray, work: AnyFloatArray) -> None:
    """Replace c by J(c) = sin θ + (π − θ) cos θ, θ = arccos c, in place, with an array `work` like it."""
    np.arcsin(cosine, out=work)
    work += np.asarray(0.5 * np.pi, cosine.dtype)
    work *= cosine
    np.multiply(cosine, cosine, out=cosine)
    np.subtract(1.0, cosine, out=cosine)
    np.sqrt(cosine, out=cosine)
    cosine += work


@dataclass(frozen=True, kw_only=True)
class ArcCosine:
    """Infinitely wide ReLU network with t = log(variance, input scale s, hidden bias b).

    k0 = 1 + s x·x' and k_{l} = b_l + |k_{l-1}| J(θ_{l-1})/π, with b = 0 after the last layer. The
    result is scaled so that a row with x·x = 1 has the variance exp(t[0]).
    """

    depth: int = 2

    @property
    def prior(self) -> FloatArray:
        """Weak: a factor of 2 to 4 on each."""
        return np.array([[0.0, 0.7], [0.7, 1.2], [-1.0, 1.0]])

    def prepare(self, x: FloatArray) -> FloatArray:
        """The inner products."""
        return x @ x.T

    def gram(self, prepared: FloatArray, t: FloatArray) -> tuple[FloatArray, Pull]:
        """Reverse mode through the layers, with an exact diagonal."""
        variance, s, b = np.exp(t)
        biases = self.depth - 1
        scale = variance / (1.0 + s + biases * b)
        power = 1.0 + s * np.diagonal(prepared)
        k = 1.0 + s * prepared
        layers = []
        for layer in range(self.depth):
            root = np.sqrt(power)
            product = np.outer(root, root)
            cosine = np.clip(k / product, -1.0, 1.0)
            np.fill_diagonal(cosine, 1.0)
            slope = (0.5 + np.arcsin(cosine) / np.pi).astype(np.float64)
            sine = np.sqrt(1.0 - cosine * cosine) * product / np.pi
            layers.append((power, sine, slope))
            k = sine + slope * cosine * product
            if layer < biases:
                k += b
                power = power + b
        k *= scale

        def pull(grad: FloatArray) -> FloatArray:
            whole = float(np.vdot(grad, k))
            g = scale * grad
            g_power = np.zeros(len(k))
            by_b = 0.0
            for layer in range(self.depth - 1, -1, -1):
                power, sine, slope = layers[layer]
                g_power += np.einsum("ij,ij->i", g, sine) / power
                g = g * slope
                if layer > 0:
                    by_b += b * (float(g.sum()) + float(g_power.sum()))
            by_s = s * (float(np.vdot(g, prepared)) + float(g_power @ np.diagonal(prepared)))
            share = whole / (1.0 + s + biases * b)
            return np.array([whole, by_s - share * s, by_b - share * biases * b])

        return k, pull

    def against(self, a: AnyFloatArray, t: FloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
        """One matrix product, then element-wise layers in two buffers."""
        variance, s, bias = np.exp(t).tolist()
        dtype, biases = a.dtype, self.depth - 1

        def prepared(x: AnyFloatArray) -> tuple[AnyFloatArray, list[AnyFloatArray]]:
            power = 1.0 + s * np.einsum("ij,ij->i", x, x)
            roots = [np.sqrt(power + layer * bias) for layer in range(self.depth)]
            unit = np.empty((len(x), x.shape[1] + 1), dtype)
            np.multiply(x, math.sqrt(s) / roots[0][:, None], out=unit[:, :-1])
            unit[:, -1] = 1.0 / roots[0]
            return unit, [root[:, None] for root in roots]

        left, rows = prepared(a)
        turn = dtype.type(1.0 / np.pi)
        last = rows[-1] * dtype.type(variance / (1.0 + s + biases * bias) / np.pi)
        buffers = np.empty((2, 0, 0), dtype)

        def cross(b: AnyFloatArray) -> AnyFloatArray:
            nonlocal buffers
            if buffers.shape[1:] != (len(a), len(b)):
                buffers = np.empty((2, len(a), len(b)), dtype)
            k, work = buffers
            right, columns = prepared(b)
            np.matmul(left, right.T, out=k)
            for layer in range(self.depth):
                np.clip(k, -1.0, 1.0, out=k)
                arc_cosine(k, work)
                if layer < biases:
                    k *= turn * rows[layer] / rows[layer + 1]
                    k *= (columns[layer] / columns[layer + 1]).T
                    np.multiply(
                        dtype.type(bias) / rows[layer + 1], 1.0 / columns[layer + 1].T, out=work
                    )
                    k += work
            k *= last
            k *= columns[-1].T
            return k

        return cross

    def cross(self, a: AnyFloatArray, b: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        """See `against`."""
        return self.against(a, t)(b)

    def diagonal(self, x: AnyFloatArray, t: FloatArray) -> FloatArray:
        """J(1)/π = 1 at every layer."""
        variance, s, b = np.exp(t)
        biases = self.depth - 1
        power = np.einsum("ij,ij->i", x, x).astype(np.float64)
        power *= s
        power += 1.0 + biases * b
        power *= variance / (1.0 + s + biases * b)
        return np.asarray(power)


def squared_distances(a: AnyFloatArray, b: AnyFloatArray) -> AnyFloatArray:
    """(len(a), len(b)) squared Euclidean distances, never negative."""
    d = a @ b.T
    d *= -2.0
    d += np.einsum("ij,ij->i", a, a)[:, None]
    d += np.einsum("ij,ij->i", b, b)
    np.maximum(d, 0.0, out=d)
    return d


@dataclass(frozen=True, kw_only=True)
class Stationary:
    """RBF or Matérn-5/2 of the feature distance, with t = log(variance, length)."""

    name: str = "rbf"

    @property
    def prior(self) -> FloatArray:
        """Weak: a factor of 2 to 3 on each."""
        return np.array([[0.0, 0.7], [0.0, 1.0]])

    def prepare(self, x: FloatArray) -> FloatArray:
        """The squared distances."""
        d = np.asarray(squared_distances(x, x), np.float64)
        np.fill_diagonal(d, 0.0)
        return d

    def gram(self, prepared: FloatArray, t: FloatArray) -> tuple[FloatArray, Pull]:
        """The length's gradient is closed form for both."""
        variance, length = np.exp(t)
        if self.name == "rbf":
            r = prepared / length**2
            k = variance * np.exp(-0.5 * r)
            by_length = k * r
        else:
            r = np.sqrt(5.0 * prepared) / length
            e = variance * np.exp(-r)
            k = e * (1.0 + r + r * r / 3.0)
            by_length = e * r * r * (1.0 + r) / 3.0

        def pull(grad: FloatArray) -> FloatArray:
            return np.array([np.vdot(grad, k), np.vdot(grad, by_length)])

        return k, pull

    def against(self, a: AnyFloatArray, t: FloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
        """Nothing to prepare."""
        return partial(self._cross, a, t)

    def cross(self, a: AnyFloatArray, b: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        """In the dtype of `a`."""
        return self._cross(a, t, b)

    def _cross(self, a: AnyFloatArray, t: FloatArray, b: AnyFloatArray) -> AnyFloatArray:
        variance, length = np.exp(t)
        d = squared_distances(a, b)
        if self.name == "rbf":
            d *= np.asarray(-0.5 / length**2, d.dtype)
            np.exp(d, out=d)
        else:
            d *= np.asarray(5.0 / length**2, d.dtype)
            np.sqrt(d, out=d)
            poly = d * d
            poly /= 3.0
            poly += d
            poly += 1.0
            np.negative(d, out=d)
            np.exp(d, out=d)
            d *= poly
        d *= np.asarray(variance, d.dtype)
        return d

    def diagonal(self, x: AnyFloatArray, t: FloatArray) -> FloatArray:
        """Constant."""
        return np.full(len(x), float(np.exp(t[0])))


@dataclass(frozen=True, kw_only=True, eq=False)
class FunctionKernel:
    """A kernel from a function of yours; its gradients are central differences."""

    #: (n, d) and (m, d) features and (k,) log-parameters -> (n, m) covariances.
    function: Callable[[AnyFloatArray, AnyFloatArray, FloatArray], AnyFloatArray]
    prior: FloatArray  #: Mean and standard deviation of the log-parameters

    def prepare(self, x: FloatArray) -> FloatArray:
        """The features themselves."""
        return x

    def gram(self, prepared: FloatArray, t: FloatArray) -> tuple[FloatArray, Pull]:
        """Two more matrices for each parameter, where the gradient is asked for."""

        def pull(grad: FloatArray) -> FloatArray:
            steps = 1e-5 * np.eye(len(t))
            up, down = ([self.cross(prepared, prepared, t + s * h) for h in steps] for s in (1, -1))
            return np.array([np.vdot(grad, a - b) / 2e-5 for a, b in zip(up, down, strict=True)])

        return np.asarray(self.cross(prepared, prepared, t), np.float64), pull

    def against(self, a: AnyFloatArray, t: FloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
        """Nothing to prepare."""
        return lambda b: self.cross(a, b, t)

    def cross(self, a: AnyFloatArray, b: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        """In the dtype of `a`."""
        return np.asarray(self.function(a, b, t), a.dtype)

    def diagonal(self, x: AnyFloatArray, t: FloatArray) -> FloatArray:
        """One row at a time, so that no large matrix is made."""
        return np.array([float(self.function(row[None], row[None], t)[0, 0]) for row in x])


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A kernel of the features plus an RBF of the last two columns, the place; t gains its log variance, length."""

    inner: Kernel

    @property
    def prior(self) -> FloatArray:
        """The inner kernel's, then half its variance, and 3 to 8 lengths along the image's side."""
        return np.vstack([self.inner.prior, (-0.7, 1.0), (-0.5, 0.7)])

    def prepare(self, x: FloatArray) -> FloatArray:
        """The inner kernel's preparation and the squared distances, stacked."""
        d = np.asarray(squared_distances(x[:, -2:], x[:, -2:]), np.float64)
        np.fill_diagonal(d, 0.0)
        return np.stack([self.inner.prepare(x[:, :-2]), d])

    def gram(self, prepared: FloatArray, t: FloatArray) -> tuple[FloatArray, Pull]:
        """See :class:`Kernel`."""
        k, pull = self.inner.gram(prepared[0], t[:-2])
        r = prepared[1] / np.exp(2.0 * t[-1])
        field = np.exp(t[-2] - 0.5 * r)

        def both(grad: FloatArray) -> FloatArray:
            drawn = grad * field
            return np.concatenate([pull(grad), [drawn.sum(), np.vdot(drawn, r)]])

        return k + field, both

    def against(self, a: AnyFloatArray, t: FloatArray) -> Callable[[AnyFloatArray], AnyFloatArray]:
        """The field's exponent is one product of (x, -|x|²/2, 1) with (y, 1, -|y|²/2)."""
        inner = self.inner.against(np.ascontiguousarray(a[:, :-2]), t[:-2])
        left, buffer = self._lifted(a, t), np.empty((0, 0), a.dtype)

        def cross(b: AnyFloatArray) -> AnyFloatArray:
            nonlocal buffer
            if buffer.shape != (len(a), len(b)):
                buffer = np.empty((len(a), len(b)), a.dtype)
            np.matmul(left, self._lifted(b, t)[:, [0, 1, 3, 2]].T, out=buffer)
            buffer += a.dtype.type(t[-2])
            np.exp(buffer, out=buffer)
            k = inner(np.ascontiguousarray(b[:, :-2]))
            k += buffer
            return k

        return cross

    @staticmethod
    def _lifted(x: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        place = x[:, -2:] / np.asarray(np.exp(t[-1]), x.dtype)
        half = -0.5 * np.einsum("ij,ij->i", place, place)
        return np.column_stack([place, half, np.ones_like(half)])

    def cross(self, a: AnyFloatArray, b: AnyFloatArray, t: FloatArray) -> AnyFloatArray:
        """See `against`."""
        return self.against(a, t)(b)

    def diagonal(self, x: AnyFloatArray, t: FloatArray) -> FloatArray:
        """See :class:`Kernel`."""
        return np.asarray(self.inner.diagonal(x[:, :-2], t[:-2]) + np.exp(t[-2]))
