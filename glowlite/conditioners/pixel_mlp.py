r"""Glow's coupling network, 3x3 -> ReLU -> 1x1 -> ReLU -> 3x3, as a multi-layer perceptron applied to every pixel.

    patches = gather(x)                 (P, 9 C_in)     P = N H W pixels
    h1 = relu(patches W1 + b1)          (P, width)
    h2 = relu(h1 W2 + b2)               (P, width)
    raw = scatter(h2 W3) + b3           (P, C_out)

The ends are thin and the middle is wide, so all the work lies in three matrix products; no array is 9 width wide.
Backward is the same picture with gather and scatter swapped. The last layer starts at zero, so a coupling starts as
the identity (section 3.3). `docs/paper_and_code.md` lists the options, which are those of the original code.
"""

from __future__ import annotations

import numpy as np

from glowlite.backend import Array, namespace
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.patches import gather, scatter_columns
from glowlite.conditioners.scaled_linear import ScaledLinear
from glowlite.conditioners.zero_conv import ScatterConv
from glowlite.pixels import pixel_matrix
from glowlite.shapes import check_images

WEIGHT_STD = 0.05


class PixelMLP(Conditioner):
    """x: (N, H, W, C_in) -> raw: (N, H, W, C_out). Cost: 2 N H W width (9 C_in + width + 9 C_out) FLOPs.

    `hidden_actnorm`: an ActNorm after each hidden convolution. `border`: `none`, `last`, or `all` of the 3x3
    convolutions see an extra channel that is 1 outside the image. `output_scale`: exp(3 logs) on the output.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        rng: np.random.Generator,
        hidden_actnorm: bool = True,
        border: str = "all",
        output_scale: bool = True,
    ) -> None:
        self.in_channels = in_channels
        self.border_in = border == "all"
        patch = 9 * (in_channels + self.border_in)
        self.conv1 = ScaledLinear(WEIGHT_STD * rng.standard_normal((patch, width)), hidden_actnorm)
        self.conv2 = ScaledLinear(WEIGHT_STD * rng.standard_normal((width, width)), hidden_actnorm)
        self.conv3 = ScatterConv(width, out_channels, border=border != "none", scaled=output_scale)

    def _hidden(self, layer: ScaledLinear, x: Array) -> Array:
        """relu(x W' + b'): (P, rows) -> (P, width)."""
        W, b = layer.folded()
        h = x @ W
        h += b
        return namespace(x).maximum(h, 0, out=h)

    def _patches(self, x: Array) -> Array:
        check_images("PixelMLP.forward", x, self.in_channels, self.conv1.bias.value.dtype)
        return pixel_matrix(gather(x, self.border_in)).T

    def forward(self, x: Array) -> tuple[Array, Cache]:
        patches = self._patches(x)  # (P, 9 C_in)
        h1 = self._hidden(self.conv1, patches)  # (P, width)
        h2 = self._hidden(self.conv2, h1)  # (P, width)
        raw = self.conv3.forward(h2, x.shape[:3])  # (N, H, W, C_out)
        return raw, (patches, h1, h2)

    def backward(self, draw: Array, cache: Cache) -> Array:
        patches, h1, h2 = cache
        dh2 = self.conv3.backward(draw, h2)  # (P, width)
        dh2 *= h2 > 0  # relu'
        # y = x W' + b':  dW' = x^T dy,  db' = sum dy,  dx = dy W'^T
        self.conv2.add_gradients(h1.T @ dh2, dh2.sum(axis=0))
        dh1 = dh2 @ self.conv2.folded()[0].T  # (P, width)
        dh1 *= h1 > 0
        self.conv1.add_gradients(patches.T @ dh1, dh1.sum(axis=0))
        dpatches = self.conv1.folded()[0] @ dh1.T  # (9 C_in, P)
        return scatter_columns(dpatches, draw.shape)[..., : self.in_channels]

    def initialize(self, x: Array) -> Array:
        patches = self._patches(x)
        self.conv1.initialize("PixelMLP.initialize, conv1", patches)
        h1 = self._hidden(self.conv1, patches)
        self.conv2.initialize("PixelMLP.initialize, conv2", h1)
        return self.forward(x)[0]
