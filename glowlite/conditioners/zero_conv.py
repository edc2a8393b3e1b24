"""A 3x3 convolution that starts at zero, as a network for learned priors."""

from __future__ import annotations

from glowlite.arrays.backend import Array
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.scaled_linear import ScatterConv


class ZeroConv(Conditioner):
    """One 3x3 convolution that starts at zero. x: (N, H, W, C_in) -> h: (N, H, W, C_out)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        with_border: bool = True,
        output_scale: bool = True,
    ) -> None:
        self.conv = ScatterConv(in_channels, out_channels, with_border, output_scale)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        columns = pixel_matrix(x)
        h = self.conv.convolve(columns, x.shape)
        return h, (columns, h)

    def backward(self, dh: Array, cache: Cache) -> Array:
        columns, h = cache
        return to_images(self.conv.convolve_backward(dh, columns, h), dh.shape)
