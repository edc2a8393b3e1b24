"""What a coupling asks of the network inside it: a function of the conditioning channels, not invertible."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from glowlite.arrays.backend import Array
from glowlite.arrays.parameters import Parameterized
from glowlite.arrays.statistics import Total, of_one

Cache = Any


class Conditioner(Parameterized, ABC):
    """x: (N, H, W, C_in) -> h: (N, H, W, C_out). Unlike a bijector it hands out a cache, for one `backward`."""

    @abstractmethod
    def forward(self, x: Array) -> tuple[Array, Cache]:
        """h and what `backward` needs."""

    @abstractmethod
    def backward(self, dh: Array, cache: Cache) -> Array:
        """dx; gradients of the parameters are added into their `grad` views."""

    def add_backward(self, dh: Array, cache: Cache, dx: Array) -> None:
        """`backward`, whose result is added to dx."""
        dx += self.backward(dh, cache)

    def apply(self, x: Array) -> Array:
        """h alone, where no `backward` follows."""
        return self.forward(x)[0]

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        """Set data-dependent parameters from the batch `x`; returns h."""
        return self.apply(x)
