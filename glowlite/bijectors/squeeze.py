"""Squeeze: every 2x2 block of pixels becomes one pixel of four times the channels (section 3.6).

    channels   y[n, i, j, 4c + 2dy + dx] = x[n, 2i + dy, 2j + dx, c]          log|det| = 0
    corners    y[n, i, j, kC + c]        = x[n, 2i + dy, 2j + dx, c]

with the corners (dy, dx) of a block in the order k: (0, 0), (1, 1), (0, 1), (1, 0). So the first
half of `corners`, RealNVP's order, has the even pixels of a checkerboard, and the second half the
odd ones.
"""

from __future__ import annotations

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_even
from glowlite.arrays.layout import to_images
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import GlowliteError, ShapeError

CORNERS = (0, 3, 1, 2)  # 2dy + dx of each k


class Squeeze(Bijector):
    """x: (N, H, W, C), H and W even -> y: (N, H/2, W/2, 4C). No parameters. Cost: one copy, or two.

    `order` of the channels of y: `channels`, where the corners of one channel are adjacent, or
    `corners`, where the channels of one corner are adjacent.
    """

    def __init__(self, order: str = "channels") -> None:
        if order not in ("channels", "corners"):
            raise GlowliteError(f"Squeeze: order must be 'channels' or 'corners', got {order!r}")
        self.order = order

    def forward(self, x: Array) -> tuple[Array, Array]:
        n, h, w, c = x.shape
        check_even("Squeeze.forward", h, w)
        blocks = x.reshape(n, h // 2, 2, w // 2, 2, c)  # (n, i, dy, j, dx, c)
        planes = blocks.transpose(5, 2, 4, 0, 1, 3).reshape(4 * c, -1)  # (c dy dx, n i j)
        y = to_images(planes, (n, h // 2, w // 2, 4 * c))
        if self.order == "corners":
            y = namespace(y).concatenate([y[..., corner::4] for corner in CORNERS], axis=-1)
        return y, zero_logdet(x)

    def inverse(self, y: Array) -> Array:
        n, h, w, c = y.shape
        if c % 4:
            raise ShapeError(
                f"Squeeze.inverse: C must be divisible by 4, got {y.shape}; this is not a"
                " squeezed array"
            )
        if self.order == "corners":
            corners, y = y, namespace(y).empty_like(y)
            for k, corner in enumerate(CORNERS):
                y[..., corner::4] = corners[..., k * c // 4 : (k + 1) * c // 4]
        blocks = y.reshape(n, h, w, c // 4, 2, 2)  # (n, i, j, c, dy, dx)
        planes = blocks.transpose(3, 0, 1, 4, 2, 5).reshape(c // 4, -1)  # (c, n i dy j dx)
        return to_images(planes, (n, 2 * h, 2 * w, c // 4))

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        x = self.inverse(y) if cache is None else cache
        return x, self.inverse(dy)  # a permutation of the entries, as in Permutation
