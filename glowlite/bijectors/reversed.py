"""Reversed: a layer that only moves entries, applied in the inverse direction, such as an
unsqueeze.

y = layer.inverse(x)          x = layer.forward(y)          log|det| = 0
"""

from __future__ import annotations

from typing import Any

from glowlite.arrays.backend import Array
from glowlite.bijectors.base import Bijector, Cache, check_part, zero_logdet


class Reversed(Bijector):
    """`layer`: a permutation of entries, such as Squeeze, Checkerboard or Permutation.

    A layer with a log-determinant or with parameters would need different gradients.
    """

    def __init__(self, layer: Any) -> None:
        check_part("Reversed", layer, "forward", "inverse")
        self.layer = layer

    def forward(self, x: Array) -> tuple[Array, Array]:
        return self.layer.inverse(x), zero_logdet(x)

    def inverse(self, y: Array) -> Array:
        x, _ = self.layer.forward(y)
        return x

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # a permutation matrix is orthogonal, so its transpose, which maps dy to dx, is its inverse
        x = self.inverse(y) if cache is None else cache
        return x, self.inverse(dy)
