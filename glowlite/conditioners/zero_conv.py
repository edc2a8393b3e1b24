"""3x3 convolutions that start at zero: the last one of a coupling network, and the whole network of a learned prior.

As a product and a scatter: a pixel q sends h[q] W[k] to the pixel q + k, for each of the nine taps k. So W[k] here is
the tap -k of the usual convolution, the kernel turned by 180 degrees. The border channel of the original code, which is
1 outside the image, sends one more vector W_border[k] from every pixel outside: a map (H, W, C_out) that no pixel
inside knows of.
"""

from __future__ import annotations

import numpy as np

from glowlite.backend import Array, namespace
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.patches import gather, scatter_columns, taps_from_outside
from glowlite.conditioners.scaled_linear import ScaledLinear
from glowlite.pixels import pixel_matrix, to_images


class ScatterConv(ScaledLinear):
    """`weight` (C_in + border, 9, C_out), the border channel last; `bias`, and `logs` if `scaled`, (C_out,); all zero."""

    def __init__(self, in_channels: int, out_channels: int, border: bool, scaled: bool) -> None:
        super().__init__(np.zeros((in_channels + border, 9, out_channels)), scaled)
        self.in_channels = in_channels
        self.border = border

    def forward(self, h: Array, image_shape: tuple[int, int, int]) -> Array:
        """h: (P, C_in), P = N H W for `image_shape` = (N, H, W) -> (N, H, W, C_out)."""
        W, b = self.folded()
        sent = W[: self.in_channels].reshape(self.in_channels, -1).T @ h.T  # (9 C_out, P)
        y = scatter_columns(sent, image_shape)
        y += b
        if self.border:
            outside = taps_from_outside(image_shape[1], image_shape[2], h)
            y += to_images(W[-1].T @ outside.reshape(-1, 9).T, (1, *image_shape[1:]))
        return y

    def backward(self, dy: Array, h: Array) -> Array:
        """dy: (N, H, W, C_out), h as in forward -> dh (P, C_in)."""
        xp = namespace(dy)
        W, _ = self.folded()
        dsent = pixel_matrix(gather(dy))  # (9 C_out, P)
        dW = xp.empty_like(W)
        dW[: self.in_channels] = (h.T @ dsent.T).reshape(self.in_channels, 9, -1)
        if self.border:
            outside = taps_from_outside(dy.shape[1], dy.shape[2], dy).reshape(-1, 9)  # (H W, 9)
            dW[-1] = outside.T @ dy.sum(axis=0).reshape(len(outside), -1)
        self.add_gradients(dW, dy.sum(axis=(0, 1, 2)))
        return dsent.T @ W[: self.in_channels].reshape(self.in_channels, -1).T


class ZeroConv(Conditioner):
    """One 3x3 convolution that starts at zero. x: (N, H, W, C_in) -> h: (N, H, W, C_out)."""

    def __init__(self, in_channels: int, out_channels: int, border: bool = True, output_scale: bool = True) -> None:
        self.conv = ScatterConv(in_channels, out_channels, border, output_scale)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        pixels = pixel_matrix(x).T  # (P, C_in)
        return self.conv.forward(pixels, x.shape[:3]), pixels

    def backward(self, dh: Array, cache: Cache) -> Array:
        return to_images(self.conv.backward(dh, cache).T, dh.shape)
