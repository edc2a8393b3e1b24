r"""The coupling network with every small factor folded into its matrices: what runs for each tile of each step.

    patches = gather(x), and a row of ones       (9 C_in + 1, P)     P = N H W pixels, one a column
    h1 = relu(first^T patches)                   (width, P)
    h2 = relu(W2^T h1 + b2)                      (width, P)
    raw = scatter(last^T h2 + sent)              (C_out, P)

The bias of the first layer is the weight of the row of ones, so the product adds it, and its gradient comes out of a
product, too. `sent` is a constant that every pixel sends along: the bias of the last layer and its border channel.
`PixelMLP` folds its parameters into these matrices, for a whole level in one call, and takes their gradients apart.
"""

from __future__ import annotations

from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_images
from glowlite.arrays.layout import to_images
from glowlite.arrays.parameters import Parameter
from glowlite.conditioners.activations import relu, relu_backward
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.conditioners.gather_scatter import patch_matrix, patch_sums, scatter_columns
from glowlite.fast.mkl import MatMul
from glowlite.fast.threads import Workers


class FoldedMLP(Conditioner):
    """x: (N, H, W, C_in) -> raw: (N, H, W, C_out). Cost: 2 N H W width (9 C_in + width + 9 C_out) FLOPs.

    `first` (9 C_in [+ 9] + 1, width), `weight` (width, width), `bias` (width,), `last` (width, 9 C_out), `sent` (9 C_out,).
    `border`: `first` has 9 rows for the channel that is 1 outside the image. `workers`: see PixelMLP.
    """

    def __init__(
        self,
        first: Parameter,
        weight: Parameter,
        bias: Parameter,
        last: Parameter,
        sent: Parameter,
        in_channels: int,
        border: bool,
        workers: Workers | None,
    ) -> None:
        self.first, self.weight, self.bias, self.last, self.sent = first, weight, bias, last, sent
        self.in_channels, self.border, self.workers = in_channels, border, workers

    def forward(self, x: Array) -> tuple[Array, Cache]:
        return self._forward(x, keep=True)

    def apply(self, x: Array) -> Array:
        return self._forward(x, keep=False)[0]

    def _forward(self, x: Array, keep: bool) -> tuple[Array, Cache]:
        check_images("PixelMLP.forward", x, self.in_channels, self.bias.value.dtype)
        matmul, first, last = self._matmul(x), self.first.value, self.last.value
        patches = patch_matrix(x, self.border, ones=True)
        sent = namespace(x).empty((last.shape[1], patches.shape[1]), x.dtype)

        def run(_: int, block: slice) -> tuple[Array, Array] | None:
            h1 = relu(matmul(first.T, patches[:, block]))
            h2 = relu(matmul(self.weight.value.T, h1), self.bias.value)
            matmul(last.T, h2, out=sent[:, block])
            return (h1, h2) if keep else None

        hidden = self._run(run, x.shape)
        raw = scatter_columns(sent, x.shape, self.sent.value)
        return raw, (patches, hidden) if keep else None

    def backward(self, draw: Array, cache: Cache) -> Array:
        dx = to_images(namespace(draw).zeros((self.in_channels, draw[..., 0].size), draw.dtype), draw.shape)
        self.add_backward(draw, cache, dx)
        return dx

    def add_backward(self, draw: Array, cache: Cache, dx: Array) -> None:
        xp, matmul = namespace(draw), self._matmul(draw)
        patches, hidden = cache
        first, last, W2 = self.first.value, self.last.value, self.weight.value
        dsent = patch_matrix(draw)  # (9 C_out, P)
        dpatches = xp.empty((9 * self.in_channels, patches.shape[1]), draw.dtype)
        whole = len(hidden) == 1  # one block: its gradients are all there is

        def run(i: int, block: slice) -> tuple[Array, ...]:
            # y = W^T x:  dW = x dy^T,  dx = W dy
            h1, h2 = hidden[i]
            dh2 = relu_backward(matmul(last, dsent[:, block]), h2)
            dh1 = relu_backward(matmul(W2, dh2), h1)
            matmul(first[: len(dpatches)], dh1, out=dpatches[:, block])
            return (
                matmul(patches[:, block], dh1.T, out=self.first.room() if whole else None),
                matmul(h1, dh2.T),
                dh2.sum(axis=1, out=self.bias.room() if whole else None),
                matmul(h2, dsent[:, block].T, out=self.last.room() if whole else None),
            )

        parts = zip(*self._run(run, draw.shape), strict=True)
        for parameter, gradients in zip((self.first, self.weight, self.bias, self.last), parts, strict=True):
            parameter.add(_in_order(gradients))
        self.sent.add(patch_sums(draw, dsent, out=self.sent.room()))
        scatter_columns(dpatches, draw.shape, onto=dx)

    def _matmul(self, like: Array) -> MatMul:
        return namespace(like).matmul if self.workers is None else self.workers.matmul

    def _run(self, task: Any, image_shape: tuple[int, ...]) -> list[Any]:
        """[task(i, block)] for blocks of pixels: slices of columns."""
        n, h, w = image_shape[:3]
        cut = [slice(0, n * h * w)] if self.workers is None else self.workers.blocks(n, h * w, self.weight.value.shape[0])
        if len(cut) == 1 or self.workers is None:
            return [task(0, cut[0])]
        return self.workers.map(lambda i: task(i, cut[i]), range(len(cut)))


def _in_order(parts: tuple[Array, ...]) -> Array:
    """The sum of the parts, first to last."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total
