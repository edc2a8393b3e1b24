"""What every invertible layer offers, and how one is used that offers less.

Arrays are images (N, H, W, C) or, wherever a layer has no use for the places of pixels, vectors
(N, D); `logdet`, `dlogdet` are (N,) in float64. With y = f(x) and a loss that depends on y and on
log|det dy/dx|, the caller hands `backward` the two derivatives `dy` and `dlogdet`; no layer knows
the loss itself.

A layer of one's own needs `forward`, `inverse` and `backward(y, dy, dlogdet)`, and `parameters()`
or attributes that are Parameters. The functions at the end do without the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameterized, check_registered
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.errors import GlowliteError

Cache = Any  # what `forward_with_cache` hands to `backward`: a layer's own business


class Bijector(Parameterized, ABC):
    """An invertible map. It remembers nothing between calls, and changes no argument."""

    @abstractmethod
    def forward(self, x: Array) -> tuple[Array, Array]:
        """y = f(x) and log|det dy/dx| of each sample, (N,), nats."""

    @abstractmethod
    def inverse(self, y: Array) -> Array:
        """x with f(x) = y, by exact algebra: there is no eps in it."""

    @abstractmethod
    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        """x, rebuilt from y, and dx. Gradients of the parameters are ADDED into their `grad` views.

        With `cache`, from `forward_with_cache`, nothing is rebuilt: it is used in its place.
        """

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Set data-dependent parameters from the batch `x`, once, before training; returns y.

        `total` adds up a vector over the processes that hold parts of one batch.
        """
        return self.forward(x)[0]

    def forward_with_cache(self, x: Array) -> tuple[Array, Array, Cache]:
        """`forward`, and what `backward` needs so as to rebuild nothing."""
        y, logdet = self.forward(x)
        return y, logdet, x


def zero_logdet(x: Array) -> Array:
    """(N,) zeros, float64: the log-determinant of a map that keeps volume."""
    xp = namespace(x)
    return xp.zeros(x.shape[0], xp.float64)


def total_logdet(logdets: list[Array], y: Array) -> Array:
    """The sum of the layers' log-determinants, (N,); zeros where there is no layer."""
    if not logdets:
        return zero_logdet(y)
    total = logdets[0]
    for logdet in logdets[1:]:
        total = total + logdet
    return total


def check_part(where: str, part: Any, *methods: str) -> None:
    """Raise GlowliteError unless `part` has these methods, and parameters that can be trained."""
    for method in methods:
        if not callable(getattr(part, method, None)):
            raise GlowliteError(
                f"{where}: {type(part).__name__} has no {method}; it needs {', '.join(methods)},"
                " see docs/your_own_flow.md"
            )
    check_registered(where, part)


def forward_with_cache(layer: Any, x: Array) -> tuple[Array, Array, Cache]:
    """`layer.forward_with_cache(x)`; a layer without one keeps nothing, and rebuilds its input."""
    if hasattr(layer, "forward_with_cache"):
        y, logdet, cache = layer.forward_with_cache(x)
        return y, logdet, cache
    return *layer.forward(x), None


def needs_cache(layer: Any) -> bool:
    """Whether `layer.backward` cannot do without a cache now, a small one: a normalisation by the
    statistics of a batch, which its output does not show.
    """
    return bool(getattr(layer, "needs_cache", False))


def backward(
    layer: Any, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
) -> tuple[Array, Array]:
    """`layer.backward`, of four arguments where there is a cache and of three where
    there is none.
    """
    x, dx = layer.backward(y, dy, dlogdet, *(() if cache is None else (cache,)))
    return x, dx


def initialize(layer: Any, x: Array, total: SumOverProcesses = this_process) -> Array:
    """`layer.initialize(x, total)`; a layer without one has nothing that depends on data."""
    return layer.initialize(x, total) if hasattr(layer, "initialize") else layer.forward(x)[0]
