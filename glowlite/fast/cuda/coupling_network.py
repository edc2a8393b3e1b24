"""The networks of a coupling and of a prior on a GPU: folded, with a kernel for each gather,
scatter and ReLU.
"""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

from glowlite.arrays.backend import Array
from glowlite.fast.cuda import columns as cuda_columns
from glowlite.fast.folded_network import FoldedNetwork, FoldedZeroConv
from glowlite.fast.folding import Folded, Prepared


class CudaNetwork(FoldedNetwork):
    """A CouplingNetwork of the same parameters; see there.

    `prepared`: None for one that folds its own matrices.
    """

    computed_together = True  # with those of the other steps of a level
    columns: ClassVar[ModuleType] = cuda_columns
    prepared: Prepared | None = None

    def folded(self) -> Folded:
        return super().folded() if self.prepared is None else self.prepared.folded

    def collect(self, folded: Folded, gradients: Folded, dbias: Array) -> None:
        if self.prepared is None:
            super().collect(folded, gradients, dbias)
        else:
            self.prepared.gradients = (*gradients, dbias)


class CudaZeroConv(FoldedZeroConv):
    """A ZeroConv of the same parameters; see there."""

    columns: ClassVar[ModuleType] = cuda_columns
