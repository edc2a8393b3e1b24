"""A network that sees the pixels of one colour of a checkerboard at their places in the image.

image = the kept half at its pixels, 0 at the others [, one more channel: 1 at the kept pixels]
h     = net(image) at the other pixels, which are those that change
"""

from __future__ import annotations

from typing import Any

from glowlite.arrays.backend import Array
from glowlite.arrays.checkerboard import EVEN, ODD, blank_image, put_pixels, take_pixels
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.errors import GlowliteError


class CheckerboardNetwork(Conditioner):
    """x: (N, H, W/2, C), the `kept` pixels, `even` or `odd` -> h: (N, H, W/2, C_out).

    `image`: a network of images (N, H, W, C), or, with `mask`, of C + 1 channels.
    """

    def __init__(self, image: Any, kept: str = "even", mask: bool = False) -> None:
        if kept not in ("even", "odd"):
            raise GlowliteError(f"CheckerboardNetwork: kept must be 'even' or 'odd', got {kept!r}")
        self.image, self.mask = image, mask
        self.kept, self.changed = (EVEN, ODD) if kept == "even" else (ODD, EVEN)

    def lay_out(self, x: Array) -> Array:
        """Return the image that the network sees."""
        image = blank_image(x, x.shape[-1] + self.mask)
        put_pixels(image[..., : x.shape[-1]], x, self.kept)
        if self.mask:
            put_pixels(image[..., -1:], 1 + 0 * x[..., :1], self.kept)
        return image

    def forward(self, x: Array) -> tuple[Array, Cache]:
        out, cache = self.image.forward(self.lay_out(x))
        return take_pixels(out, self.changed), (x.shape[-1], cache)

    def backward(self, dh: Array, cache: Cache) -> Array:
        channels, image_cache = cache
        dout = blank_image(dh, dh.shape[-1])
        put_pixels(dout, dh, self.changed)
        dimage = self.image.backward(dout, image_cache)
        return take_pixels(dimage[..., :channels], self.kept)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        return take_pixels(self.image.initialize(self.lay_out(x), total), self.changed)
