r"""Glow's coupling network: 3x3 convolution, ReLU, 1x1 convolution, ReLU, 3x3 convolution.

    h1 = relu(e1 (W1^T gather(x) + b1))          e = exp(3 logs): an ActNorm after each convolution
    h2 = relu(e2 (W2^T h1 + b2))
    h  = e3 (scatter(W3^T h2) + b3)

It is a multi-layer perceptron applied to every pixel, with narrow ends and a wide middle. So all
the work is in three matrix products, and no array has 9 * width rows. The last layer starts at
zero, so a coupling starts as the identity (section 3.3). `docs/paper_and_code.md` lists the
options, which are those of the original code.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.gather_scatter import gather, scatter
from glowlite.conditioners.scaled_linear import ScaledLinear, ScatterConv

WEIGHT_STD = 0.05


class CouplingNetwork(Conditioner):
    """x: (N, H, W, C_in) -> h: (N, H, W, C_out).

    `hidden_actnorm`: whether an ActNorm follows each hidden convolution. `border`: whether `none`,
    the `last` or `all` of the 3x3 convolutions see an extra channel that is 1 outside the image.
    `output_scale`: exp(3 logs) on the output. Cost: 2 N H W width (9 C_in + width + 9 C_out) FLOPs.
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
        self.in_channels, self.width = in_channels, width
        self.border_in = border == "all"
        taps = 9 * (in_channels + self.border_in)
        self.conv1 = ScaledLinear(WEIGHT_STD * rng.standard_normal((taps, width)), hidden_actnorm)
        self.conv2 = ScaledLinear(WEIGHT_STD * rng.standard_normal((width, width)), hidden_actnorm)
        self.conv3 = ScatterConv(width, out_channels, border != "none", output_scale)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        self.check(x)
        columns = gather(x, self.border_in)  # (9 C_in, P), one column per pixel
        h1 = relu(self.conv1.forward(columns))  # (width, P)
        h2 = relu(self.conv2.forward(h1))  # (width, P)
        h = self.conv3.convolve(h2, x.shape)
        return h, (columns, h1, h2, h)

    def backward(self, dh: Array, cache: Cache) -> Array:
        columns, h1, h2, h = cache
        dh2 = self.conv3.convolve_backward(dh, h2, h) * (h2 > 0)
        dh1 = self.conv2.backward(dh2, h1, h2) * (h1 > 0)
        dcolumns = self.conv1.backward(dh1, columns, h1)
        return scatter(dcolumns, dh.shape)[..., : self.in_channels]  # the border is not an input

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        self.check(x)
        name = type(self).__name__
        columns = gather(x, self.border_in)
        h1 = relu(self.conv1.initialize(f"{name}.initialize, conv1", columns, total))
        h2 = relu(self.conv2.initialize(f"{name}.initialize, conv2", h1, total))
        return self.conv3.convolve(h2, x.shape)

    def check(self, x: Array) -> None:
        check_images("CouplingNetwork", x, self.in_channels, self.conv1.bias.value.dtype)


def relu(h: Array) -> Array:
    return namespace(h).maximum(h, 0)
