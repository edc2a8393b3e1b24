"""What every invertible layer offers.

Arrays are (N, H, W, C); `logdet`, `dlogdet` are (N,) in float64. With y = f(x) and a loss that depends on y and on
log|det dy/dx|, the caller hands `backward` the two derivatives `dy` and `dlogdet`; no layer knows the loss itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameterized
from glowlite.arrays.statistics import Total, of_one

Kept = Any  # what `forward_keeping` hands to `backward`: a layer's own business


class Bijector(Parameterized, ABC):
    """An invertible map of images. It remembers nothing between calls, and changes no argument."""

    @abstractmethod
    def forward(self, x: Array) -> tuple[Array, Array]:
        """y = f(x) and log|det dy/dx| of each sample, (N,), nats."""

    @abstractmethod
    def inverse(self, y: Array) -> Array:
        """x with f(x) = y, by exact algebra: there is no eps in it."""

    @abstractmethod
    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        """x, rebuilt from y, and dx. Gradients of the parameters are ADDED into their `grad` views.

        With `kept`, from `forward_keeping`, nothing is rebuilt: what was kept is used in its place.
        """

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        """Set data-dependent parameters from the batch `x`, once, before training; returns y.

        `total` adds up a vector over the processes that hold parts of one batch.
        """
        return self.forward(x)[0]

    def forward_keeping(self, x: Array) -> tuple[Array, Array, Kept]:
        """`forward`, and what `backward` needs so as to rebuild nothing."""
        y, logdet = self.forward(x)
        return y, logdet, x


def zero_logdet(x: Array) -> Array:
    """(N,) zeros, float64: the log-determinant of a map that keeps volume."""
    xp = namespace(x)
    return xp.zeros(x.shape[0], xp.float64)
