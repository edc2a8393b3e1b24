r"""Optimisers on the flat vector, warm-up, clipping, averaged weights.

Adam (Kingma & Ba 2015), g the gradient at step t = 1, 2, ...:

    m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2     theta -= lr (m / (1 - b1^t)) / (sqrt(v /
    (1 - b2^t)) + eps)

Adamax as in the original Glow code: v is a running maximum, with Adam's bias correction on m:

    v = max(b2 v, |g|)        theta -= lr (m / (1 - b1^t)) / (v + eps)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.slices import chunks
from glowlite.errors import GlowliteError
from glowlite.fast.cuda.launch import launch
from glowlite.fast.threads import Workers

T = TypeVar("T")
R = TypeVar("R")

ON_DEVICE = 1 << 24  # numbers of a gradient that a GPU converts to float64 at a time: 128 MiB
DECAYS = ("cosine", "linear", "constant")


# an update as a kernel; `a`, `e`: see Optimizer._rates
UPDATED = (
    "T* theta, T* m, T* v, const T* grad, const double* scale, const double beta1, const double"
    " beta2, const double a, const double e"
)
BEGIN = """
  if (scale[0] != scale[0]) return;
  const T g = grad[i] * T(scale[0]);
  m[i] = T(beta1) * m[i] + T(1 - beta1) * g;
"""


class Optimizer(ABC):
    """Updates `theta` (P,) in place from `grad` (P,). State: `m`, `v`, each (P,), and `steps`."""

    KERNEL: ClassVar[tuple[str, str]]

    def __init__(
        self, theta: Array, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        xp = namespace(theta)
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps > 0):
            raise GlowliteError(
                f"optimiser: need 0 <= beta < 1 and eps > 0, got {beta1}, {beta2}, {eps}"
            )
        self.theta, self.beta1, self.beta2, self.eps = theta, beta1, beta2, eps
        self.m, self.v = xp.zeros_like(theta), xp.zeros_like(theta)
        self.steps = 0

    def step(
        self, grad: Array, lr: float, scale: float | Array = 1.0, workers: Workers | None = None
    ) -> None:
        """Do one update with `scale` * grad; grad itself is not changed. It takes one pass, in
        chunks.

        `scale` may be a 0-d float64 array, whose value the host need not know on a GPU. If it is
        NaN, nothing is updated, but the step is still counted; a caller that skips the step
        subtracts 1.
        """
        self.steps += 1
        xp = namespace(grad)
        if xp is not np:
            factor = xp.full(1, scale) if isinstance(scale, float) else scale.reshape(1)
            numbers = [float(number) for number in (self.beta1, self.beta2, *self._rates(lr))]
            launch(
                xp,
                type(self).__name__.lower(),
                *self.KERNEL,
                grad.size,
                self.theta,
                self.m,
                self.v,
                grad,
                factor,
                *numbers,
            )
            return
        scale = float(scale)
        if math.isnan(scale):
            return

        def update(parts: list[slice]) -> None:
            for part in parts:
                theta = self.theta[part]
                g, spare = scratch(2 * theta.size, theta.dtype).reshape(2, -1)
                xp.multiply(grad[part], scale, out=g)
                self._update(theta, self.m[part], self.v[part], g, spare, lr)

        parts = chunks(grad)
        threads, scratch = (1, np.empty) if workers is None else (workers.threads, workers.scratch)
        _each(update, [parts[i::threads] for i in range(threads)], workers)

    @abstractmethod
    def _rates(self, lr: float) -> tuple[float, float]:
        """Return this step's a and e in theta -= a m / (size(v) + e), where size(v) depends on the
        optimiser.
        """

    @abstractmethod
    def _update(self, theta: Array, m: Array, v: Array, g: Array, spare: Array, lr: float) -> None:
        """Update theta, m and v in place; g and spare, of the same shape, may be overwritten."""

    def _update_first_moment(self, m: Array, g: Array, spare: Array) -> None:
        m *= self.beta1
        namespace(m).multiply(g, 1 - self.beta1, out=spare)
        m += spare


class Adam(Optimizer):
    """See the module's docstring."""

    KERNEL = (
        UPDATED,
        BEGIN + "  v[i] = T(beta2) * v[i] + T(1 - beta2) * g * g;\n  theta[i] -= T(a) * m[i] /"
        " (sqrt(v[i]) + T(e));\n",
    )

    def _rates(self, lr: float) -> tuple[float, float]:
        # with c1 = 1 - b1^t and c2 = sqrt(1 - b2^t):  (m / c1) / (sqrt(v) / c2 + eps) = (c2 / c1) m
        # / (sqrt(v) + c2 eps)
        c1, c2 = 1 - self.beta1**self.steps, math.sqrt(1 - self.beta2**self.steps)
        return lr * c2 / c1, c2 * self.eps

    def _update(self, theta: Array, m: Array, v: Array, g: Array, spare: Array, lr: float) -> None:
        xp = namespace(theta)
        self._update_first_moment(m, g, spare)
        v *= self.beta2
        g *= g
        g *= 1 - self.beta2
        v += g
        a, e = self._rates(lr)
        xp.sqrt(v, out=g)
        g += e
        xp.divide(m, g, out=g)
        g *= a
        theta -= g


class Adamax(Optimizer):
    """See the module's docstring."""

    KERNEL = (
        UPDATED,
        BEGIN
        + "  v[i] = fmax(T(beta2) * v[i], fabs(g));\n  theta[i] -= T(a) * m[i] / (v[i] + T(e));\n",
    )

    def _rates(self, lr: float) -> tuple[float, float]:
        return lr / (1 - self.beta1**self.steps), self.eps

    def _update(self, theta: Array, m: Array, v: Array, g: Array, spare: Array, lr: float) -> None:
        xp = namespace(theta)
        self._update_first_moment(m, g, spare)
        v *= self.beta2
        xp.maximum(v, xp.abs(g, out=g), out=v)
        a, e = self._rates(lr)
        xp.add(v, e, out=g)
        xp.divide(m, g, out=g)
        g *= a
        theta -= g


class AveragedWeights:
    """Exponential moving average of a vector such as theta, (P,), with bias correction: `value()`
    after `update(theta)`.
    """

    def __init__(self, theta: Array, decay: float) -> None:
        if not 0 <= decay < 1:
            raise GlowliteError(f"averaged weights: need 0 <= decay < 1, got {decay}")
        self.decay = decay
        self.sum = namespace(theta).zeros_like(theta)
        self.updates = 0

    def update(self, theta: Array, workers: Workers | None = None) -> None:
        self.updates += 1
        xp = namespace(theta)
        if xp is not np:
            launch(xp, "average", *AVERAGE, theta.size, self.sum, theta, float(1 - self.decay))
            return

        def add(part: slice) -> None:
            change = theta[part] - self.sum[part]
            change *= 1 - self.decay
            self.sum[part] += change

        _each(add, chunks(theta), workers)

    def value(self) -> Array:
        """Return the average; raises GlowliteError before the first update."""
        if self.updates == 0:
            raise GlowliteError("averaged weights: there is no average before the first update")
        return self.sum / (1 - self.decay**self.updates)


AVERAGE = (
    "T* sum, const T* theta, const double part",
    "  sum[i] += T(part) * (theta[i] - sum[i]);\n",
)


def _each(task: Callable[[T], R], items: Sequence[T], workers: Workers | None) -> list[R]:
    """Return [task(item) for item in items], computed by the workers if there are any, otherwise
    one by one.
    """
    return [task(item) for item in items] if workers is None else workers.map(task, items)


def gradient_norm(grad: Array, workers: Workers | None = None) -> Array:
    """Return the Euclidean norm of the flat gradient, 0-d. BLAS computes chunks in the dtype of
    grad; these are added in float64.

    The relative error is about 1e-6 in float32. If squares leave the range of float32, they are
    computed in float64; on a GPU always, so that the host need not check.
    """
    xp = namespace(grad)

    def squares(dtype: Any) -> Array:
        def of(part: slice) -> Array:
            g = grad[part].astype(dtype, copy=False)
            return xp.dot(g, g).astype(xp.float64)

        if xp is not np:
            return xp.stack([of(part) for part in chunks(grad, ON_DEVICE)]).sum()
        return xp.stack(_each(of, chunks(grad), workers)).sum()

    if xp is not np:
        return xp.sqrt(squares(xp.float64))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        total = squares(grad.dtype)
    return xp.sqrt(total if 1e-30 < float(total) < 1e30 else squares(xp.float64))


def clip_factor(norm: Array, limit: float) -> Array | float:
    """Return the factor that reduces a gradient of this norm to at most `limit`; 0 means no
    limit.
    """
    return limit / namespace(norm).maximum(norm, limit) if limit > 0 else 1.0


def learning_rate(step: int, steps: int, lr: float, warmup: int, decay: str = "cosine") -> float:
    """Return the learning rate of step 0 ..

    steps - 1: linear warm-up over `warmup` steps, then `constant`, or `cosine` or `linear` to 0.
    """
    if decay not in DECAYS:
        raise GlowliteError(f"decay must be one of {', '.join(DECAYS)}, got {decay!r}")
    if step < warmup:
        return lr * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return (
        lr
        * {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[
            decay
        ]
    )


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": Adam, "adamax": Adamax}
