"""3x3 convolutions that start at zero: the last one of a coupling network, and a learned prior.

As a product and a scatter: a pixel q sends W[k] h[q] to the pixel q + k, for each of the nine taps
k. So W[k] here is the tap -k of the usual convolution, the kernel turned by 180 degrees.

    y = (scatter(W^T h) + B^T outside + b) * e          e = exp(3 logs); without a scale, e = 1

The border channel of the original code is 1 outside the image and 0 inside; it sends B[k] from
every pixel outside. A pixel gets B[k] if the one that would send it, at -k, is outside.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.gather_scatter import gather, outside, scatter
from glowlite.conditioners.scaled_linear import ScaledLinear


class ScatterConv(ScaledLinear):
    """h: (C_in, P), P = N H W -> y: (N, H, W, C_out).

    `weight` (C_in + border, 9, C_out), the border channel last; `bias` and, if `scaled`, `logs`,
    (C_out,). All start at zero.
    """

    def __init__(self, in_channels: int, out_channels: int, border: bool, scaled: bool) -> None:
        super().__init__(np.zeros((in_channels + border, 9, out_channels)), scaled)
        self.in_channels = in_channels
        self.border = border

    def taps(self) -> Array:
        """W, (C_in, 9 C_out)."""
        return self.weight.value[: self.in_channels].reshape(self.in_channels, -1)

    def convolve(self, h: Array, shape: tuple[int, ...]) -> Array:
        """y of columns h (C_in, P), for images of `shape` (N, H, W, ...)."""
        _, height, width = shape[:3]
        y = scatter(self.taps().T @ h, shape) + self.bias.value  # (N, H, W, C_out)
        if self.border:
            y = y + self._senders(y).T.reshape(1, height, width, 9) @ self.weight.value[-1]
        return y * self.scale()

    def convolve_backward(self, dy: Array, h: Array, y: Array) -> Array:
        """dh (C_in, P), from what `convolve` took and gave."""
        self.add_scale_gradient((dy * y).sum(axis=(0, 1, 2)))
        dy = dy * self.scale()
        self.bias.grad[...] += dy.sum(axis=(0, 1, 2))
        if self.border:
            self.weight.grad[-1] += self._senders(dy) @ dy.sum(axis=0).reshape(-1, dy.shape[-1])
        dsent = gather(dy)  # scatter's gradient, (9 C_out, P)
        self.weight.grad[: self.in_channels] += (h @ dsent.T).reshape(self.in_channels, 9, -1)
        return self.taps() @ dsent

    def _senders(self, y: Array) -> Array:
        """(9, H W): 1 where the pixel at -k, which sends by tap k, is outside the image."""
        _, height, width, _ = y.shape
        return outside(height, width, y.dtype, namespace(y))[::-1]


class ZeroConv(Conditioner):
    """One 3x3 convolution that starts at zero. x: (N, H, W, C_in) -> h: (N, H, W, C_out)."""

    def __init__(self, in_channels: int, out_channels: int, border: bool = True, output_scale: bool = True) -> None:
        self.conv = ScatterConv(in_channels, out_channels, border, output_scale)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        columns = pixel_matrix(x)
        h = self.conv.convolve(columns, x.shape)
        return h, (columns, h)

    def backward(self, dh: Array, cache: Cache) -> Array:
        columns, h = cache
        return to_images(self.conv.convolve_backward(dh, columns, h), dh.shape)
