"""Fixed permutations of the channels: reversed, as in RealNVP; shuffled once (section 3.2); or even
ones first, as NICE divides them.

y[..., i] = x[..., indices[i]]          log|det| = 0
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.arrays.checks import check_channels
from glowlite.arrays.parameters import Constant
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import ShapeError


class Permutation(Bijector):
    """Reorder channels by `indices` (C,), which are saved with the weights. x, y: (N, H, W, C) or
    (N, C).
    """

    def __init__(self, indices: np.ndarray) -> None:
        indices = np.asarray(indices, np.int64)
        if sorted(indices.tolist()) != list(range(indices.size)):
            raise ShapeError(
                f"Permutation: indices must contain each of 0..{indices.size - 1} once, got"
                f" {indices.tolist()}"
            )
        self.indices = Constant(indices)

    @classmethod
    def reverse(cls, channels: int) -> Permutation:
        return cls(np.arange(channels)[::-1])

    @classmethod
    def shuffle(cls, channels: int, rng: np.random.Generator) -> Permutation:
        return cls(rng.permutation(channels))

    @classmethod
    def even_odd(cls, channels: int) -> Permutation:
        """Return the order 0, 2, 4, ..., then 1, 3, 5, ..., so that the next coupling separates
        even and odd channels.
        """
        order = np.arange(channels)
        return cls(np.concatenate([order[::2], order[1::2]]))

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_channels("Permutation.forward", x, self.indices.value.size, x.dtype)
        return x[..., self.indices.value], zero_logdet(x)

    def inverse(self, y: Array) -> Array:
        check_channels("Permutation.inverse", y, self.indices.value.size, y.dtype)
        return y[..., self.indices.value.argsort()]

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # a permutation matrix is orthogonal, so its transpose, which maps dy to dx, is its inverse
        x = self.inverse(y) if cache is None else cache
        return x, self.inverse(dy)
