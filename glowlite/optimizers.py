r"""Optimisers on the flat vector, warm-up, clipping, averaged weights.

Adam (Kingma & Ba 2015), g the gradient at step t = 1, 2, ...:

    m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2     theta -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

Adamax as the original Glow code has it: v is a running maximum, with Adam's bias correction on m:

    v = max(b2 v, |g|)        theta -= lr (m / (1 - b1^t)) / (v + eps)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from glowlite.backend import Array, namespace
from glowlite.errors import GlowliteError

CHUNK = 1 << 16  # elements updated at a time: four arrays of a chunk stay in the second-level cache


class Optimizer(ABC):
    """Updates `theta` (P,) in place from `grad` (P,). State: `m`, `v`, each (P,), and `steps`."""

    def __init__(self, theta: Array, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        xp = namespace(theta)
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1 and eps > 0):
            raise GlowliteError(f"optimiser: need 0 <= beta < 1 and eps > 0, got {beta1}, {beta2}, {eps}")
        self.theta, self.beta1, self.beta2, self.eps = theta, beta1, beta2, eps
        self.m, self.v = xp.zeros_like(theta), xp.zeros_like(theta)
        self.steps = 0

    def step(self, grad: Array, lr: float, scale: float | Array = 1.0) -> None:
        """One update with `scale` * grad, a chunk at a time; grad itself is left as it is."""
        self.steps += 1
        for start in range(0, self.theta.size, CHUNK):
            part = slice(start, start + CHUNK)
            self._update(self.theta[part], self.m[part], self.v[part], grad[part] * scale, lr)

    @abstractmethod
    def _update(self, theta: Array, m: Array, v: Array, g: Array, lr: float) -> None:
        """Update theta, m and v in place; g may be overwritten."""

    def _first_moment_step(self, m: Array, g: Array, lr: float) -> float:
        """m in place; returns the step size with the bias correction of m."""
        m *= self.beta1
        m += (1 - self.beta1) * g
        return lr / (1 - self.beta1**self.steps)


class Adam(Optimizer):
    """See the module's docstring."""

    def _update(self, theta: Array, m: Array, v: Array, g: Array, lr: float) -> None:
        xp = namespace(theta)
        size = self._first_moment_step(m, g, lr)
        v *= self.beta2
        g *= g
        g *= 1 - self.beta2
        v += g
        xp.sqrt(v, out=g)
        g *= 1 / math.sqrt(1 - self.beta2**self.steps)
        g += self.eps
        xp.divide(m, g, out=g)
        g *= size
        theta -= g


class Adamax(Optimizer):
    """See the module's docstring."""

    def _update(self, theta: Array, m: Array, v: Array, g: Array, lr: float) -> None:
        xp = namespace(theta)
        size = self._first_moment_step(m, g, lr)
        v *= self.beta2
        xp.maximum(v, abs(g), out=v)
        xp.divide(m, v + self.eps, out=g)
        g *= size
        theta -= g


class AveragedWeights:
    """Exponential moving average of theta, (P,), with the bias of its start removed: `value()` after `update(theta)`."""

    def __init__(self, theta: Array, decay: float) -> None:
        if not 0 <= decay < 1:
            raise GlowliteError(f"averaged weights: need 0 <= decay < 1, got {decay}")
        self.decay = decay
        self.sum = namespace(theta).zeros_like(theta)
        self.updates = 0

    def update(self, theta: Array) -> None:
        self.updates += 1
        for start in range(0, theta.size, CHUNK):
            part = slice(start, start + CHUNK)
            self.sum[part] += (1 - self.decay) * (theta[part] - self.sum[part])

    def value(self) -> Array:
        """The average; raises before the first update."""
        if self.updates == 0:
            raise GlowliteError("averaged weights: there is no average before the first update")
        return self.sum / (1 - self.decay**self.updates)


def gradient_norm(grad: Array) -> Array:
    """The Euclidean norm of the flat gradient, 0-d, summed in float64 over chunks."""
    xp = namespace(grad)
    total = xp.zeros((), xp.float64)
    for start in range(0, grad.size, CHUNK):
        part = grad[start : start + CHUNK].astype(xp.float64)
        total = total + xp.dot(part, part)
    return xp.sqrt(total)


def clip_factor(norm: float, limit: float) -> float:
    """What to multiply a gradient of this norm with so that its norm is at most `limit`; 0 for no limit."""
    return 1.0 if limit <= 0 or norm <= limit else limit / norm


def learning_rate(step: int, steps: int, lr: float, warmup: int, decay: str = "cosine") -> float:
    """The rate of step 0 .. steps - 1: linear warm-up over `warmup` steps, then `constant`, or `cosine` to zero."""
    if step < warmup:
        return lr * (step + 1) / warmup
    if decay == "constant":
        return lr
    if decay == "cosine":
        return lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    raise GlowliteError(f"decay must be 'constant' or 'cosine', got {decay!r}")
