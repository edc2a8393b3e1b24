"""3x3 convolutions that start at zero: the last one of a coupling network, and the whole network of a learned prior.

As a product and a scatter: a pixel q sends W[k] h[q] to the pixel q + k, for each of the nine taps k. So W[k] here is
the tap -k of the usual convolution, the kernel turned by 180 degrees. The border channel of the original code, which is
1 outside the image, sends one more vector W_border[k] from every pixel outside: a map (H, W, C_out) that no pixel
inside knows of.
"""

from __future__ import annotations

import numpy as np

from glowlite.backend import Array
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.patches import patch_matrix, scatter_columns, taps_from_outside
from glowlite.conditioners.scaled_linear import ScaledLinear
from glowlite.pixels import pixel_matrix, to_images


class ScatterConv(ScaledLinear):
    """`weight` (C_in + border, 9, C_out), the border channel last; `bias`, and `logs` if `scaled`, (C_out,); all zero."""

    def __init__(self, in_channels: int, out_channels: int, border: bool, scaled: bool) -> None:
        super().__init__(np.zeros((in_channels + border, 9, out_channels)), scaled)
        self.in_channels = in_channels
        self.border = border

    def taps(self) -> Array:
        """The matrix (C_in, 9 C_out) from a pixel to what it sends, before the scale; a view."""
        return self._taps_of(self.weight.value)

    def received(self, sent: Array, image_shape: tuple[int, ...]) -> Array:
        """What pixels receive from each other, from outside, and as bias, scaled: (N, H, W, C_out).

        sent: (9 C_out, P), whose contents are lost, P = N H W for `image_shape` = (N, H, W, ...).
        """
        y = scatter_columns(sent, image_shape)
        b = self.bias.value
        if self.border:
            height, width = image_shape[1:3]
            from_outside = self.weight.value[-1].T @ taps_from_outside(height, width, sent)
            b = to_images(from_outside + b[:, None], (1, height, width))
        y += b
        return y * self.scale()  # a new array: y would hold on to the whole of `sent`

    def backward(self, dy: Array, y: Array, h: Array | None) -> Array:
        """From dy, y as of `received`: d sent, (9 C_out, P). Adds all gradients; that of `taps` if h (C_in, P) is given."""
        self.add_scale_gradient((dy * y).sum(axis=(0, 1, 2)))
        dy = dy * self.scale()
        dsent = patch_matrix(dy)
        if h is not None:
            self.add_taps_gradient(h @ dsent.T)
        if self.border:
            outside = taps_from_outside(dy.shape[1], dy.shape[2], dy)  # (9, H W)
            self.weight.grad[-1] += outside @ dy.sum(axis=0).reshape(outside.shape[1], -1)
        self.bias.grad[...] += pixel_matrix(dy).sum(axis=1)
        return dsent

    def add_taps_gradient(self, dtaps: Array) -> None:
        """Add the gradient (C_in, 9 C_out) of `taps`."""
        self._taps_of(self.weight.grad)[...] += dtaps

    def _taps_of(self, weight: Array) -> Array:
        return weight[: self.in_channels].reshape(self.in_channels, -1)


class ZeroConv(Conditioner):
    """One 3x3 convolution that starts at zero. x: (N, H, W, C_in) -> h: (N, H, W, C_out)."""

    def __init__(self, in_channels: int, out_channels: int, border: bool = True, output_scale: bool = True) -> None:
        self.conv = ScatterConv(in_channels, out_channels, border, output_scale)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        pixels = pixel_matrix(x)  # (C_in, P)
        h = self.conv.received(self.conv.taps().T @ pixels, x.shape)
        return h, (pixels, h)

    def backward(self, dh: Array, cache: Cache) -> Array:
        pixels, h = cache
        dsent = self.conv.backward(dh, h, pixels)
        return to_images(self.conv.taps() @ dsent, dh.shape)
