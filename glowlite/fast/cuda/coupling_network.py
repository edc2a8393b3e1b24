"""The networks of a coupling and of a prior on a GPU: folded, with a kernel for each gather,
scatter and ReLU.
"""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

from glowlite.arrays.backend import Array
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.conditioners.base import Cache
from glowlite.conditioners.zero_conv import ZeroConv
from glowlite.fast.cuda import columns as cuda_columns
from glowlite.fast.folded_network import FoldedNetwork
from glowlite.fast.folding import Folded, Prepared, collect_scatter, fold_scatter


class CudaNetwork(FoldedNetwork):
    """A CouplingNetwork with the same parameters; see there.

    `prepared`: None for a network that folds its own matrices.
    """

    computed_together = True  # together with the other steps of a level
    columns: ClassVar[ModuleType] = cuda_columns
    prepared: Prepared | None = None

    def folded(self) -> Folded:
        return super().folded() if self.prepared is None else self.prepared.folded

    def collect(self, folded: Folded, gradients: Folded, dbias: Array) -> None:
        if self.prepared is None:
            super().collect(folded, gradients, dbias)
        else:
            self.prepared.gradients = (*gradients, dbias)


class CudaZeroConv(ZeroConv):
    """A ZeroConv with the same parameters, whose scale, bias and border are folded into a matrix
    and a constant.
    """

    def forward(self, x: Array) -> tuple[Array, Cache]:
        pixels = pixel_matrix(x)  # (C_in, P)
        taps, constant = fold_scatter(self.conv)
        h = cuda_columns.scatter(taps.T @ pixels, x.shape, constant)
        return h, (pixels, taps, constant)

    def backward(self, dh: Array, cache: Cache) -> Array:
        pixels, taps, constant = cache
        # the gradient of the values that each pixel sends, (9 C_out, P)
        dcolumns = cuda_columns.gather(dh)
        dconstant = cuda_columns.column_sums(dh, dcolumns)
        collect_scatter(self.conv, taps, pixels @ dcolumns.T, constant, dconstant)
        return to_images(taps @ dcolumns, dh.shape)
