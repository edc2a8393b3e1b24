r"""Sigmoid: map unbounded numbers to numbers between -1/2 and 1/2; `Logit(0, 1)` is its inverse.

y = sigmoid(x) - 1/2 = tanh(x / 2) / 2          x = log(1/2 + y) - log(1/2 - y)
log|det| = sum log s (1 - s) = -sum softplus(x) + softplus(-x),     s = sigmoid(x)
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import per_sample, sum_per_sample
from glowlite.bijectors.base import Bijector, Cache


class Sigmoid(Bijector):
    """x, y: (N, ...), y in (-1/2, 1/2). No parameters.

    For large |x|, y rounds to an end of the interval, whose inverse is infinite; log|det| is finite
    everywhere.
    """

    codomain = (-0.5, 0.5)  # the range of y: see `glowlite.testing`

    def forward(self, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        # softplus(x) + softplus(-x) = |x| + 2 log(1 + e^-|x|), which never overflows
        size = abs(x)
        return xp.tanh(x / 2) / 2, -sum_per_sample(size + 2 * xp.log1p(xp.exp(-size)))

    def inverse(self, y: Array) -> Array:
        xp = namespace(y)
        return xp.log(0.5 + y) - xp.log(0.5 - y)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # dy/dx = s (1 - s) = (1/2 + y)(1/2 - y)
        # d log s (1 - s) / dx = (1 - s) - s = -2 y
        x = self.inverse(y) if cache is None else cache
        return x, dy * (0.5 + y) * (0.5 - y) - 2 * per_sample(dlogdet, y) * y
