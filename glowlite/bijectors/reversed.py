"""Reversed: a layer that only moves entries, run the other way, such as the undoing of a squeeze.

y = layer.inverse(x)          x = layer.forward(y)          log|det| = 0
"""

from __future__ import annotations

from typing import Any

from glowlite.arrays.backend import Array
from glowlite.bijectors.base import Bijector, Cache, check_part, zero_logdet


class Reversed(Bijector):
    """`layer`: a permutation of entries, such as Squeeze, Checkerboard or Permutation.

    One with a log-determinant, or with parameters, would have other gradients than those here.
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
        # a permutation matrix is orthogonal: its transpose, which carries dy back, is its inverse
        x = self.inverse(y) if cache is None else cache
        return x, self.inverse(dy)
