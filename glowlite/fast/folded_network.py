r"""The fast form of the coupling network: small factors are folded into its matrices, and blocks of
pixels run in parallel.

    columns = gather(x), and a row of ones       (9 C_in + 1, P)     P = N H W pixels, one a column
    h1 = relu(first^T columns)                   (width, P)
    h2 = relu(W2^T h1 + b2)                      (width, P)
    h  = scatter(last^T h2 + constant)           (C_out, P)

`folding.py` has the matrices. This saves a scale, a bias and a copy of a wide array in each
direction.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.slices import in_order
from glowlite.conditioners.base import Cache
from glowlite.conditioners.coupling_network import CouplingNetwork
from glowlite.fast import columns as host_columns
from glowlite.fast.folding import Folded, collect, fold
from glowlite.fast.threads import Workers


class FoldedNetwork(CouplingNetwork):
    """A CouplingNetwork with the same parameters; see there.

    `workers`: the threads that run blocks of pixels in parallel.
    """

    columns: ClassVar[ModuleType] = host_columns
    workers: Workers | None = None

    def forward(self, x: Array) -> tuple[Array, Cache]:
        self.check(x)
        folded = self.folded()
        matmul, first, last = self._matmul(x), folded.first, folded.last
        columns = self.columns.gather(x, self.border_in, ones=True)
        outgoing = namespace(x).empty((last.shape[1], columns.shape[1]), x.dtype)

        def run(_: int, block: slice) -> tuple[Array, Array]:
            h1 = self.columns.relu(matmul(first.T, columns[:, block]))
            h2 = matmul(self.conv2.weight.value.T, h1)
            h2 = self.columns.relu(h2, self.conv2.bias.value)
            matmul(last.T, h2, out=outgoing[:, block])
            return h1, h2

        hidden = self._run(run, x.shape)
        return self.columns.scatter(outgoing, x.shape, folded.constant), (folded, columns, hidden)

    def backward(self, dh: Array, cache: Cache) -> Array:
        return self.columns.scatter(self.backward_columns(dh, cache), dh.shape)

    def backward_columns(self, dh: Array, cache: Cache) -> Array:
        """Return dx as columns (9 C_in, P), not yet scattered; gradients of the parameters are
        added.
        """
        xp, matmul = namespace(dh), self._matmul(dh)
        folded, columns, hidden = cache
        first, last, W2 = folded.first, folded.last, self.conv2.weight.value
        doutgoing = self.columns.gather(dh)  # (9 C_out, P)
        dcolumns = xp.empty((9 * self.in_channels, columns.shape[1]), dh.dtype)

        def run(i: int, block: slice) -> tuple[Array, ...]:
            # y = W^T x:  dW = x dy^T,  dx = W dy
            h1, h2 = hidden[i]
            dh2 = self.columns.relu_backward(matmul(last, doutgoing[:, block]), h2)
            dh1 = self.columns.relu_backward(matmul(W2, dh2), h1)
            matmul(first[: len(dcolumns)], dh1, out=dcolumns[:, block])
            dfirst = matmul(columns[:, block], dh1.T)
            return dfirst, matmul(h1, dh2.T), dh2.sum(axis=1), matmul(h2, doutgoing[:, block].T)

        parts = self._run(run, dh.shape)
        dfirst, dweight, dbias, dlast = (in_order(part) for part in zip(*parts, strict=True))
        self.conv2.weight.grad[...] += dweight
        dconstant = self.columns.column_sums(dh, doutgoing)
        self.collect(folded, Folded(dfirst, dlast, dconstant), dbias)
        return dcolumns

    def folded(self) -> Folded:
        return fold(self)

    def collect(self, folded: Folded, gradients: Folded, dbias: Array) -> None:
        collect(self, folded, gradients, dbias)

    def _matmul(self, like: Array) -> Any:
        return namespace(like).matmul if self.workers is None else self.workers.matmul

    def _run(self, task: Callable[[int, slice], Any], image_shape: tuple[int, ...]) -> list[Any]:
        """Return [task(i, block)] for blocks of pixels, which are slices of columns."""
        n, h, w = image_shape[:3]
        if self.workers is None:
            return [task(0, slice(0, n * h * w))]
        blocks = self.workers.blocks(n, h * w, self.width)
        if len(blocks) == 1:
            return [task(0, blocks[0])]
        return self.workers.map(lambda i: task(i, blocks[i]), range(len(blocks)))
