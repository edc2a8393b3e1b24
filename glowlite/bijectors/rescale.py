"""Rescale: map glowlite's range of images, [-0.5, 0.5), to another range.

y = low + (high - low)(x + 1/2)      x = (y - low) / (high - low) - 1/2
log|det| = D log(high - low)
"""

from __future__ import annotations

import math

from glowlite.arrays.arguments import real_number
from glowlite.arrays.backend import Array
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import GlowliteError


class Rescale(Bijector):
    """x, y: (N, ...), D numbers per sample. `low`, `high`: the images of -0.5 and 0.5. No
    parameters.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = (
            real_number("Rescale", name, value, -math.inf)
            for name, value in (("low", low), ("high", high))
        )
        if not 0 < self.high - self.low < math.inf:
            raise GlowliteError(f"Rescale: low must be below high, got {low} and {high}")

    @property
    def factor(self) -> float:
        return self.high - self.low

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.low + self.factor * (x + 0.5)
        return y, zero_logdet(x) + x[0].size * math.log(self.factor)

    def inverse(self, y: Array) -> Array:
        return (y - self.low) / self.factor - 0.5

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        return self.inverse(y) if cache is None else cache, self.factor * dy
