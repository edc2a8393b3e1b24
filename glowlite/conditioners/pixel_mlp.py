r"""Glow's coupling network, 3x3 -> ReLU -> 1x1 -> ReLU -> 3x3, as a multi-layer perceptron applied to every pixel.

    patches = gather(x)                 (9 C_in, P)     P = N H W pixels, one a column
    h1 = relu(W1^T patches + b1)        (width, P)
    h2 = relu(W2^T h1 + b2)             (width, P)
    raw = scatter(W3^T h2) + b3         (C_out, P)

The ends are thin and the middle is wide, so all the work lies in three matrix products; no array is 9 width wide.
Backward is the same picture with gather and scatter swapped. The last layer starts at zero, so a coupling starts as
the identity (section 3.3). `docs/paper_and_code.md` lists the options, which are those of the original code.

Two things keep the wide arrays few:
b1 is the weight of a last row of ones in `patches`, so the product adds it, and its gradient comes out of a product, too.
The scale e = exp(3 logs) of a hidden ActNorm never touches W2, the one large matrix: relu(e u) = e relu(u) as e > 0, so
e1 is folded into W1, and e2 into the rows of W3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.backend import Array, namespace
from glowlite.blas import MatMul
from glowlite.communicator import Total, of_one
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.patches import patch_matrix, scatter_columns
from glowlite.conditioners.scaled_linear import ScaledLinear
from glowlite.conditioners.zero_conv import ScatterConv
from glowlite.shapes import check_images
from glowlite.workers import Workers

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

    def _patches(self, x: Array) -> Array:
        check_images("PixelMLP.forward", x, self.in_channels, self.conv1.bias.value.dtype)
        return patch_matrix(x, self.border_in, ones=True)

    def _first(self) -> Array:
        """W1 e1 in the order of the rows of `_patches`, and b1 e1 as the last row: (9 C_in + 1, width)."""
        xp, W, e = namespace(self.conv1.weight.value), self.conv1.weight.value, self.conv1.scale()
        first = xp.empty((len(W) + 1, self.width), W.dtype)
        for rows, part in zip(self._rows_of_first(first), self._rows_of_weight(W), strict=True):
            xp.multiply(part, e, out=rows)
        xp.multiply(self.conv1.bias.value, e, out=first[-1])
        return first

    def _rows_of_first(self, first: Array) -> tuple[Array, ...]:
        """Views: of the taps on x, (9, C_in, width), and, with a border, of those on its channel, (9, width)."""
        c = self.in_channels
        taps = first[: 9 * c].reshape(9, c, self.width)
        return (taps, first[9 * c : 9 * c + 9]) if self.border_in else (taps,)

    def _rows_of_weight(self, weight: Array) -> tuple[Array, ...]:
        """The same rows of `conv1.weight` or its gradient, where each tap's border comes after its channels."""
        taps = weight.reshape(9, -1, self.width)
        return (taps[:, :-1], taps[:, -1]) if self.border_in else (taps,)

    def _second(self, h1: Array) -> Array:
        h2 = self._matmul(h1)(self.conv2.weight.value.T, h1)
        h2 += self.conv2.bias.value[:, None]
        return namespace(h1).maximum(h2, 0, out=h2)

    def _matmul(self, like: Array) -> MatMul:
        return namespace(like).matmul if self.workers is None else self.workers.matmul

    def _run(self, task: Any, image_shape: tuple[int, ...]) -> list[Any]:
        """[task(i, block)] for blocks of pixels: slices of columns."""
        n, h, w = image_shape[:3]
        cut = [slice(0, n * h * w)] if self.workers is None else self.workers.blocks(n, h * w, self.width)
        if len(cut) == 1 or self.workers is None:
            return [task(0, cut[0])]
        return self.workers.map(lambda i: task(i, cut[i]), range(len(cut)))

    def forward(self, x: Array) -> tuple[Array, Cache]:
        return self._forward(x, keep=True)

    def apply(self, x: Array) -> Array:
        return self._forward(x, keep=False)[0]

    def _forward(self, x: Array, keep: bool) -> tuple[Array, Cache]:
        xp, matmul = namespace(x), self._matmul(x)
        patches, first = self._patches(x), self._first()
        last = self.conv3.taps() * self.conv2.scale()[:, None]  # e2 W3
        sent = xp.empty((last.shape[1], patches.shape[1]), x.dtype)

        def run(_: int, block: slice) -> tuple[Array, Array] | None:
            h1 = matmul(first.T, patches[:, block])
            xp.maximum(h1, 0, out=h1)
            h2 = self._second(h1)
            matmul(last.T, h2, out=sent[:, block])
            return (h1, h2) if keep else None

        hidden = self._run(run, x.shape)
        raw = self.conv3.received(sent, x.shape)
        return raw, (patches, hidden, raw, first, last) if keep else None

    def backward(self, draw: Array, cache: Cache) -> Array:
        xp, matmul = namespace(draw), self._matmul(draw)
        patches, hidden, raw, first, last = cache
        W2 = self.conv2.weight.value
        dsent = self.conv3.backward(draw, raw, None)  # (9 C_out, P)
        dpatches = xp.empty((9 * self.in_channels, patches.shape[1]), draw.dtype)

        def run(i: int, block: slice) -> tuple[Array, ...]:
            # y = W^T x:  dW = x dy^T,  dx = W dy;  relu' is 1 where relu is not 0
            h1, h2 = hidden[i]
            dh2 = matmul(last, dsent[:, block])
            dh2 *= h2 > 0
            dh1 = matmul(W2, dh2)
            dh1 *= h1 > 0
            matmul(first[: len(dpatches)], dh1, out=dpatches[:, block])
            dW1, dW2, dW3 = matmul(patches[:, block], dh1.T), matmul(h1, dh2.T), matmul(h2, dsent[:, block].T)
            return dW1, dW2, dh2.sum(axis=1), dW3

        dfirst, dW2, db2, dlast = (_in_order(parts) for parts in zip(*self._run(run, draw.shape), strict=True))
        e1, e2 = self.conv1.scale(), self.conv2.scale()[:, None]
        self.conv1.add_scale_gradient((dfirst * first).sum(axis=0))
        dfirst *= e1
        for rows, part in zip(self._rows_of_weight(self.conv1.weight.grad), self._rows_of_first(dfirst), strict=True):
            rows += part
        self.conv1.bias.grad[...] += dfirst[-1]
        self.conv2.weight.grad[...] += dW2
        self.conv2.bias.grad[...] += db2
        self.conv2.add_scale_gradient((dlast * last).sum(axis=1))
        dlast *= e2
        self.conv3.add_taps_gradient(dlast)
        return scatter_columns(dpatches, draw.shape)

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        patches = self._patches(x)
        self.conv1.reset()
        self.conv1.initialize("PixelMLP.initialize, conv1", (self._first().T @ patches).T, total)
        h1 = self._first().T @ patches
        namespace(x).maximum(h1, 0, out=h1)
        self.conv2.initialize("PixelMLP.initialize, conv2", (self.conv2.weight.value.T @ h1).T, total)
        return self.apply(x)


def _in_order(parts: tuple[Array, ...]) -> Array:
    """The sum of the parts, first to last."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
