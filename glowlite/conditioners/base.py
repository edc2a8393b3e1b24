"""The interface of the network inside a coupling: a function of the channels that stay, which need
not be invertible.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from glowlite.arrays.backend import Array
from glowlite.arrays.parameters import Parameterized
from glowlite.arrays.statistics import SumOverProcesses, this_process

Cache = Any


class Conditioner(Parameterized, ABC):
    """x: (N, ..., C_in) -> h: (N, ..., C_out).

    Unlike a bijector, it always returns a cache, for one call of `backward`.
    """

    @abstractmethod
    def forward(self, x: Array) -> tuple[Array, Cache]:
        """Return h, and what `backward` needs."""

    @abstractmethod
    def backward(self, dh: Array, cache: Cache) -> Array:
        """Return dx; gradients of the parameters are added into their `grad` views."""

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Initialise data-dependent parameters from the batch `x`. Returns h."""
        return self.forward(x)[0]
