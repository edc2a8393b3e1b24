"""3x3 convolutions that start at zero: the last one of a coupling network, and the whole network of a learned prior.

As a product and a scatter: a pixel q sends W[k] h[q] to the pixel q + k, for each of the nine taps k. So W[k] here is
the tap -k of the usual convolution, the kernel turned by 180 degrees.

The border channel of the original code, which is 1 outside the image, sends B[k] from every pixel outside. What comes
from outside is what would come from everywhere, less what comes from inside. So with the bias b, y = e (...), every pixel
of the image may as well send the constant

    sent[k] = -e B[k],     and to itself     sent[0] = e (b + sum_{k != 0} B[k])

    db = e dsent[0]        dB[k] = e (dsent[0] - dsent[k])        e = exp(3 logs)
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.gather_scatter import patch_matrix, patch_sums, scatter_columns
from glowlite.conditioners.scaled_linear import ScaledLinear

CENTRE = 4  # of the nine taps, in the order dy, dx: the pixel itself


class ScatterConv(ScaledLinear):
    """`weight` (C_in + border, 9, C_out), the border channel last; `bias`, and `logs` if `scaled`, (C_out,); all zero."""

    def __init__(self, in_channels: int, out_channels: int, border: bool, scaled: bool) -> None:
        super().__init__(np.zeros((in_channels + border, 9, out_channels)), scaled)
        self.in_channels = in_channels
        self.border = border

    def fold(self, gain: Array | None = None) -> tuple[Array, Array]:
        """The matrix from a pixel to what it sends, (..., C_in, 9 C_out), and the constant it sends, (..., 9 C_out).

        Both are scaled; the matrix has a `gain` (..., C_in) on its input, too.
        """
        weight, b, e = self.weight.value, self.bias.value, self.scale()
        *stack, _, _, c_out = weight.shape
        taps = weight[..., : self.in_channels, :, :].reshape(*stack, self.in_channels, 9 * c_out) * _nine_times(e)
        if gain is not None:
            taps *= gain[..., None]
        sent = namespace(b).zeros((*stack, 9, c_out), b.dtype)
        sent[..., CENTRE, :] = b
        if self.border:
            B = weight[..., -1, :, :]
            sent -= B
            sent[..., CENTRE, :] += B.sum(axis=-2)
        sent *= e[..., None, :]
        return taps, sent.reshape(*stack, 9 * c_out)

    def collect(self, taps: Array, dtaps: Array, sent: Array, dsent: Array, gain: Array | None = None) -> Array:
        """Add what the gradients of `fold`'s results mean for the parameters; that of log gain, (..., C_in).

        The contents of dtaps are lost.
        """
        *stack, c_in, _ = taps.shape
        c_out, e = self.bias.value.shape[-1], self.scale()
        product = dtaps * taps  # both results are linear in e:  dlog e = sum dM M
        self.add_scale_gradient((product.sum(axis=-2) + dsent * sent).reshape(*stack, 9, c_out).sum(axis=-2))
        dtaps *= _nine_times(e)
        if gain is not None:
            dtaps *= gain[..., None]
        self.weight.grad[..., :c_in, :, :] += dtaps.reshape(*stack, c_in, 9, c_out)
        received = dsent.reshape(*stack, 9, c_out) * e[..., None, :]
        self.bias.grad[...] += received[..., CENTRE, :]
        if self.border:
            self.weight.grad[..., -1, :, :] += received[..., CENTRE : CENTRE + 1, :] - received
        return product.sum(axis=-1)


def _nine_times(e: Array) -> Array:
    """(..., C) -> (..., 1, 9 C): a long row, since NumPy is slow with many short ones."""
    return namespace(e).concatenate([e] * 9, axis=-1)[..., None, :]


class ZeroConv(Conditioner):
    """One 3x3 convolution that starts at zero. x: (N, H, W, C_in) -> h: (N, H, W, C_out)."""

    def __init__(self, in_channels: int, out_channels: int, border: bool = True, output_scale: bool = True) -> None:
        self.conv = ScatterConv(in_channels, out_channels, border, output_scale)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        pixels = pixel_matrix(x)  # (C_in, P)
        taps, sent = self.conv.fold()
        return scatter_columns(taps.T @ pixels, x.shape, sent), (pixels, taps, sent)

    def backward(self, dh: Array, cache: Cache) -> Array:
        pixels, taps, sent = cache
        received = patch_matrix(dh)  # the gradient of what each pixel sends, (9 C_out, P)
        self.conv.collect(taps, pixels @ received.T, sent, patch_sums(dh, received))
        return to_images(taps @ received, dh.shape)
