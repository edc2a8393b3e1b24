"""What a coupling asks of the network inside it: a function of the channels that stay, not
invertible.
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

    Unlike a bijector it hands out a cache, for one `backward`.
    """

    @abstractmethod
    def forward(self, x: Array) -> tuple[Array, Cache]:
        """h and what `backward` needs."""

    @abstractmethod
    def backward(self, dh: Array, cache: Cache) -> Array:
        """dx; gradients of the parameters are added into their `grad` views."""

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Set data-dependent parameters from the batch `x`; returns h."""
        return self.forward(x)[0]
