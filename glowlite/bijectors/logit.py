r"""Logit: map images, whose values are bounded, to unbounded numbers (RealNVP, section 4.1).

    p = low + (high - low) (x + 1/2)          y = log p - log(1 - p)          x in [-1/2, 1/2)
    x = (sigmoid(y) - low) / (high - low) - 1/2
    log|det| = sum log(high - low) - log p - log(1 - p)

With `low` above 0 and `high` below 1, the ends of the range stay finite. RealNVP's released code
uses 0.05 and 0.95, its paper 0.05 and 1. The log-determinant is included because we want the
density of x.
"""

from __future__ import annotations

import math

from glowlite.arrays.arguments import real_number
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import per_sample, sum_per_sample
from glowlite.bijectors.base import Bijector, Cache
from glowlite.errors import GlowliteError


class Logit(Bijector):
    """x, y: (N, ...), x in [-0.5, 0.5), as `glowlite.objective.dequantize` makes it.

    No parameters. low, high: the values of p at both ends of that range, 0 <= low < high <= 1;
    raises GlowliteError for others. An x outside the range is not refused; y is infinite where p is
    0 or 1, and NaN beyond. Cost: O(N D) for D components.
    """

    domain = (-0.5, 0.5)  # the range of x: see `glowlite.testing`

    def __init__(self, low: float = 0.05, high: float = 0.95) -> None:
        self.low = real_number("Logit", "low", low, 0, 1)
        self.high = real_number("Logit", "high", high, 0, 1)
        if not self.low < self.high:
            raise GlowliteError(f"Logit: low must be less than high, got {low} and {high}")

    @property
    def width(self) -> float:
        return self.high - self.low

    def forward(self, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        p = self.low + self.width * (x + 0.5)
        q = 1 - self.high + self.width * (0.5 - x)  # 1 - p, without the rounding error of p
        y = xp.log(p) - xp.log(q)
        # -log p - log(1 - p) = softplus(-y) + softplus(y) = |y| + 2 log(1 + e^-|y|)
        size = abs(y)
        return y, sum_per_sample(math.log(self.width) + size + 2 * xp.log1p(xp.exp(-size)))

    def inverse(self, y: Array) -> Array:
        sigmoid = (namespace(y).tanh(y / 2) + 1) / 2  # never overflows
        return (sigmoid - self.low) / self.width - 0.5

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # dy/dx = (high - low) / (p (1 - p)) = (high - low) (2 + 2 cosh y)
        # d log|det| / dy = sigmoid(y) - sigmoid(-y) = tanh(y / 2)
        xp = namespace(y)
        x = self.inverse(y) if cache is None else cache
        through = dy + per_sample(dlogdet, y) * xp.tanh(y / 2)
        return x, through * (self.width * (2 + 2 * xp.cosh(y)))
