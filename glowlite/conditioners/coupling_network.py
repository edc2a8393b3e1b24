r"""Glow's coupling network, 3x3 -> ReLU -> 1x1 -> ReLU -> 3x3, as a multi-layer perceptron applied to every pixel.

    h1 = relu(e1 (W1^T gather(x) + b1))          e = exp(3 logs): an ActNorm after each hidden convolution
    h2 = relu(e2 (W2^T h1 + b2))
    raw = e3 (scatter(W3^T h2) + b3)

The ends are thin and the middle is wide, so all the work lies in three matrix products; no array is 9 width wide.
Backward is the same picture with gather and scatter swapped. The last layer starts at zero, so a coupling starts as
the identity (section 3.3). `docs/paper_and_code.md` lists the options, which are those of the original code.

Here are the parameters; `FoldedMLP` runs. A scale never touches W2, the one large matrix, nor a wide array: relu(e u) =
e relu(u) as e > 0, so e1 is folded into W1 and b1, e2 and e3 into W3, and what e3 multiplies besides. Gradients by the
folded matrices are taken apart again: for M = e A, dA = e dM and dlog e = sum dM M.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.arrays.layout import to_images
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import Total, of_one
from glowlite.conditioners.activations import relu
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.folded_network import FoldedMLP
from glowlite.conditioners.gather_scatter import patch_matrix
from glowlite.conditioners.scaled_linear import ScaledLinear
from glowlite.conditioners.zero_conv import ScatterConv
from glowlite.fast.threads import Workers

WEIGHT_STD = 0.05


class PixelMLP(Conditioner):
    """x: (N, H, W, C_in) -> raw: (N, H, W, C_out). Cost: 2 N H W width (9 C_in + width + 9 C_out) FLOPs.

    `hidden_actnorm`: an ActNorm after each hidden convolution. `border`: `none`, `last`, or `all` of the 3x3
    convolutions see an extra channel that is 1 outside the image. `output_scale`: exp(3 logs) on the output.
    `workers` run blocks of pixels side by side, where the images of a tile are large; None: all pixels at once.
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
        workers: Workers | None = None,
    ) -> None:
        self.in_channels, self.width = in_channels, width
        self.border_in = border == "all"
        patch = 9 * (in_channels + self.border_in)
        self.conv1 = ScaledLinear(WEIGHT_STD * rng.standard_normal((patch, width)), hidden_actnorm)
        self.conv2 = ScaledLinear(WEIGHT_STD * rng.standard_normal((width, width)), hidden_actnorm)
        self.conv3 = ScatterConv(width, out_channels, border=border != "none", scaled=output_scale)
        self.workers = workers

    def on_device(self) -> bool:
        return namespace(self.conv1.weight.value) is not np

    def fold(self) -> Folds:
        """The matrices of FoldedMLP; of each layer of a stack, if this is one."""
        matrices = (self._first(), *self.conv3.fold(gain=self.conv2.scale()))
        return Folds(self, *(Parameter(matrix, fresh=True) for matrix in matrices))

    def _first(self) -> Array:
        """W1 e1 in the order of the rows of `patch_matrix`, and b1 e1 as the last row: (..., 9 C_in [+ 9] + 1, width)."""
        first = namespace(self.conv1.weight.value).concatenate(
            [*self._parts(self.conv1.weight.value), self.conv1.bias.value[..., None, :]], axis=-2
        )
        first *= self.conv1.scale()[..., None, :]
        return first

    def _parts(self, weight: Array) -> list[Array]:
        """conv1's weight as rows of `patch_matrix`: taps on x (..., 9 C_in, width), and on the border (..., 9, width).

        In the weight, each tap's border comes after its channels.
        """
        *stack, rows, width = weight.shape
        taps = weight.reshape(*stack, 9, rows // 9, width)
        channels = taps[..., : self.in_channels, :].reshape(*stack, 9 * self.in_channels, width)
        return [channels, taps[..., self.in_channels, :]] if self.border_in else [channels]

    def collect(self, folds: Folds) -> None:
        """Add what the gradients of the folded matrices mean for the parameters; their contents are lost."""
        c, dfirst = self.in_channels, folds.first.grad
        self.conv1.add_scale_gradient((dfirst * folds.first.value).sum(axis=-2))
        dfirst *= self.conv1.scale()[..., None, :]
        dweight = self.conv1.weight.grad
        taps = dweight.reshape(*dweight.shape[:-2], 9, c + self.border_in, self.width)
        taps[..., :c, :] += dfirst[..., : 9 * c, :].reshape(*dweight.shape[:-2], 9, c, self.width)
        if self.border_in:
            taps[..., c, :] += dfirst[..., 9 * c : 9 * c + 9, :]
        self.conv1.bias.grad[...] += dfirst[..., -1, :]
        self.conv2.bias.grad[...] += folds.bias.grad
        last, sent = folds.last, folds.sent
        dlog_gain = self.conv3.collect(last.value, last.grad, sent.value, sent.grad, self.conv2.scale())
        self.conv2.add_scale_gradient(dlog_gain)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        folds = self.fold()
        raw, cache = folds.layer().forward(x)
        return raw, (folds, cache)

    def apply(self, x: Array) -> Array:
        return self.fold().layer().apply(x)

    def backward(self, draw: Array, cache: Cache) -> Array:
        dx = to_images(namespace(draw).zeros((self.in_channels, draw[..., 0].size), draw.dtype), draw.shape)
        self.add_backward(draw, cache, dx)
        return dx

    def add_backward(self, draw: Array, cache: Cache, dx: Array) -> None:
        folds, inner = cache
        folds = folds.of(self)  # the cache may be that of a replica's original, and used again
        folds.layer().add_backward(draw, inner, dx)
        self.collect(folds)

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        check_images("PixelMLP.initialize", x, self.in_channels, self.conv1.bias.value.dtype)
        patches = patch_matrix(x, self.border_in, ones=True)
        self.conv1.reset()
        self.conv1.initialize("PixelMLP.initialize, conv1", (self._first().T @ patches).T, total)
        h1 = relu(self._first().T @ patches)
        self.conv2.initialize("PixelMLP.initialize, conv2", (self.conv2.weight.value.T @ h1).T, total)
        return self.apply(x)


class Folds:
    """`first` (..., 9 C_in [+ 9] + 1, width), `last` (..., width, 9 C_out), `sent` (..., 9 C_out) of `net`, or of a stack.

    They are parameters so that their gradients have a place, and so is the `bias` of conv2, which is as it was.
    """

    def __init__(self, net: PixelMLP, first: Parameter, last: Parameter, sent: Parameter) -> None:
        self.net, self.first, self.last, self.sent = net, first, last, sent
        self.bias = Parameter(net.conv2.bias.value, fresh=True)

    def of(self, net: PixelMLP) -> Folds:
        """The same matrices for a net of the same parameters; to their gradients nothing has been added."""
        return Folds(net, *(Parameter(p.value, fresh=True) for p in (self.first, self.last, self.sent)))

    def layer(self, i: int | None = None) -> FoldedMLP:
        """The network that runs: the i-th of a stack."""
        net, weight = self.net, self.net.conv2.weight
        parts = [self.first, self.bias, self.last, self.sent]
        if i is not None:
            parts = [Parameter(p.value[i], p.grad[i], fresh=True) for p in parts]
            weight = Parameter(weight.value[i], weight.grad[i])
        first, bias, last, sent = parts
        return FoldedMLP(first, weight, bias, last, sent, net.in_channels, net.border_in, net.workers)
