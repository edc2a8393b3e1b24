"""Checkerboard: the even pixels of an image become the first half of the channels, and the odd
pixels the second half (RealNVP, section 3.4).

y[n, i, j', c]     = x[n, i, 2j' + i mod 2, c]              i + j even
y[n, i, j', C + c] = x[n, i, 2j' + (i + 1) mod 2, c]        i + j odd              log|det| = 0

In this form, a checkerboard coupling is like any other coupling of two halves: it needs no mask and
multiplies no zeros. A `CheckerboardNetwork` arranges its input as an image again.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checkerboard import (
    EVEN,
    ODD,
    blank_image,
    check_checkerboard,
    put_pixels,
    take_pixels,
)
from glowlite.arrays.checks import check_half
from glowlite.bijectors.base import Bijector, Cache, zero_logdet


class Checkerboard(Bijector):
    """x: (N, H, W, C), W even -> y: (N, H, W/2, 2C). No parameters. Cost: one copy."""

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_checkerboard("Checkerboard.forward", x)
        halves = take_pixels(x, EVEN), take_pixels(x, ODD)
        return namespace(x).concatenate(halves, axis=-1), zero_logdet(x)

    def inverse(self, y: Array) -> Array:
        channels = y.shape[-1]
        check_half("Checkerboard.inverse", channels)
        x = blank_image(y, channels // 2)
        put_pixels(x, y[..., : channels // 2], EVEN)
        put_pixels(x, y[..., channels // 2 :], ODD)
        return x

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        x = self.inverse(y) if cache is None else cache
        return x, self.inverse(dy)  # a permutation of the entries, as in Permutation
