"""Flatten: turn an image into a vector, channel after channel.

y[n, (c H + i) W + j] = x[n, i, j, c]          log|det| = 0
"""

from __future__ import annotations

from glowlite.arrays.backend import Array
from glowlite.arrays.checks import check_images
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import ShapeError


class Flatten(Bijector):
    """x: (N, H, W, C), of the `image_shape` (H, W, C) -> y: (N, D), D = C H W. No parameters. Cost:
    one copy.
    """

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.image_shape = image_shape

    def forward(self, x: Array) -> tuple[Array, Array]:
        height, width, channels = self.image_shape
        check_images("Flatten.forward", x, channels, x.dtype)
        if x.shape[1:3] != (height, width):
            raise ShapeError(
                f"Flatten.forward: images are {self.image_shape}, got {tuple(x.shape[1:])}"
            )
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1), zero_logdet(x)

    def inverse(self, y: Array) -> Array:
        height, width, channels = self.image_shape
        if y.ndim != 2 or y.shape[1] != height * width * channels:
            raise ShapeError(
                f"Flatten.inverse: expected (N, {height * width * channels}), got {tuple(y.shape)}"
            )
        planes = y.reshape(len(y), channels, height, width).transpose(0, 2, 3, 1)
        # stored as planes, like every image here; see arrays/layout.py
        return to_images(pixel_matrix(planes), planes.shape)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # a permutation of the entries, as in Squeeze
        return self.inverse(y) if cache is None else cache, self.inverse(dy)
