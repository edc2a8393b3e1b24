r"""Optimisers on the flat vector, warm-up, clipping, averaged weights.

Adam (Kingma & Ba 2015), g the gradient at step t = 1, 2, ...:

    m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2     theta -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

Adamax as the original Glow code has it: v is a running maximum, with Adam's bias correction on m:

    v = max(b2 v, |g|)        theta -= lr (m / (1 - b1^t)) / (v + eps)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from glowlite.backend import Array, namespace
from glowlite.errors import GlowliteError
from glowlite.workers import Workers, chunks

DECAYS = ("cosine", "linear", "constant")


class Optimizer(ABC):
    """Updates `theta` (P,) in place from `grad` (P,). State: `m`, `v`, each (P,), and `steps`."""

    def __init__(self, theta: Array, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        xp = namespace(theta)
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps > 0):
            raise GlowliteError(f"optimiser: need 0 <= beta < 1 and eps > 0, got {beta1}, {beta2}, {eps}")
        self.theta, self.beta1, self.beta2, self.eps = theta, beta1, beta2, eps
        self.m, self.v = xp.zeros_like(theta), xp.zeros_like(theta)
        self.steps = 0

    def step(self, grad: Array, lr: float, scale: float | Array = 1.0, workers: Workers | None = None) -> None:
        """One update with `scale` * grad; grad itself is left as it is. One pass over the vectors, in chunks."""
        self.steps += 1
        workers = workers or Workers(1)

        def update(parts: list[slice]) -> None:
            for part in parts:
                theta, xp = self.theta[part], namespace(grad)
                g, spare = workers.scratch(2 * theta.size, theta.dtype, xp).reshape(2, -1)
                xp.multiply(grad[part], scale, out=g)
                self._update(theta, self.m[part], self.v[part], g, spare, lr)

        parts = chunks(grad)
        workers.map(update, [parts[i :: workers.threads] for i in range(workers.threads)])

    @abstractmethod
    def _update(self, theta: Array, m: Array, v: Array, g: Array, spare: Array, lr: float) -> None:
        """Update theta, m and v in place; g and spare, of the same shape, may be overwritten."""

    def _update_first_moment(self, m: Array, g: Array, spare: Array) -> None:
        m *= self.beta1
        namespace(m).multiply(g, 1 - self.beta1, out=spare)
        m += spare


class Adam(Optimizer):
    """See the module's docstring."""

    def _update(self, theta: Array, m: Array, v: Array, g: Array, spare: Array, lr: float) -> None:
        xp = namespace(theta)
        self._update_first_moment(m, g, spare)
        v *= self.beta2
        g *= g
        g *= 1 - self.beta2
        v += g
        # with c1 = 1 - b1^t and c2 = sqrt(1 - b2^t):  (m / c1) / (sqrt(v) / c2 + eps) = (c2 / c1) m / (sqrt(v) + c2 eps)
        c1, c2 = 1 - self.beta1**self.steps, math.sqrt(1 - self.beta2**self.steps)
        xp.sqrt(v, out=g)
        g += c2 * self.eps
        xp.divide(m, g, out=g)
        g *= lr * c2 / c1
        theta -= g


class Adamax(Optimizer):
    """See the module's docstring."""

    def _update(self, theta: Array, m: Array, v: Array, g: Array, spare: Array, lr: float) -> None:
        xp = namespace(theta)
        self._update_first_moment(m, g, spare)
        v *= self.beta2
        xp.maximum(v, xp.abs(g, out=g), out=v)
        xp.add(v, self.eps, out=g)
        xp.divide(m, g, out=g)
        g *= lr / (1 - self.beta1**self.steps)
        theta -= g


class AveragedWeights:
    """Exponential moving average of theta, (P,), with the bias of its start removed: `value()` after `update(theta)`."""

    def __init__(self, theta: Array, decay: float) -> None:
        if not 0 <= decay < 1:
            raise GlowliteError(f"averaged weights: need 0 <= decay < 1, got {decay}")
        self.decay = decay
        self.sum = namespace(theta).zeros_like(theta)
        self.updates = 0

    def update(self, theta: Array, workers: Workers | None = None) -> None:
        self.updates += 1

        def add(part: slice) -> None:
            change = theta[part] - self.sum[part]
            change *= 1 - self.decay
            self.sum[part] += change

        (workers or Workers(1)).map(add, chunks(theta))

    def value(self) -> Array:
        """The average; raises before the first update."""
        if self.updates == 0:
            raise GlowliteError("averaged weights: there is no average before the first update")
        return self.sum / (1 - self.decay**self.updates)


def gradient_norm(grad: Array, workers: Workers | None = None) -> Array:
    """The Euclidean norm of the flat gradient, 0-d: in chunks by BLAS, in the dtype of grad, then in float64.

    Relative error about 1e-6 in float32. Where squares leave the range of float32, they are taken in float64.
    """
    xp = namespace(grad)

    def squares(dtype: Any) -> Array:
        def of(part: slice) -> Array:
            g = grad[part].astype(dtype, copy=False)
            return xp.dot(g, g).astype(xp.float64)

        return xp.stack((workers or Workers(1)).map(of, chunks(grad))).sum()

    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        total = squares(grad.dtype)
    return xp.sqrt(total if 1e-30 < float(total) < 1e30 else squares(xp.float64))


def clip_factor(norm: float, limit: float) -> float:
    """What to multiply a gradient of this norm with so that its norm is at most `limit`; 0 for no limit."""
    return 1.0 if limit <= 0 or norm <= limit else limit / norm


def learning_rate(step: int, steps: int, lr: float, warmup: int, decay: str = "cosine") -> float:
    """The rate of step 0 .. steps - 1: linear warm-up over `warmup` steps, then `constant`, or `cosine` or `linear` to 0."""
    if decay not in DECAYS:
        raise GlowliteError(f"decay must be one of {', '.join(DECAYS)}, got {decay!r}")
    if step < warmup:
        return lr * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return lr * {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[decay]


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": Adam, "adamax": Adamax}
