"""The interface of invertible layers, and functions for layers that implement only part of it.

Arrays are images (N, H, W, C) or, in layers that do not use pixel positions, vectors (N, D).
`logdet` and `dlogdet` are (N,) in float64. With y = f(x) and a loss that depends on y and on
log|det dy/dx|, the caller passes the two derivatives `dy` and `dlogdet` to `backward`. No layer
knows the loss itself.

Your own layer needs `forward`, `inverse` and `backward(y, dy, dlogdet)`, and `parameters()` or
attributes that are Parameters. The functions at the end of this file work without the other
methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameterized, check_registered
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.errors import GlowliteError

Cache = Any  # what `forward_with_cache` passes to `backward`; only the layer itself reads it


class Bijector(Parameterized, ABC):
    """An invertible map. It stores nothing between calls and changes none of its arguments."""

    @abstractmethod
    def forward(self, x: Array) -> tuple[Array, Array]:
        """Return y = f(x), and log|det dy/dx| of each sample, (N,), nats."""

    @abstractmethod
    def inverse(self, y: Array) -> Array:
        """Return x with f(x) = y, by exact algebra; inverses contain no epsilon."""

    @abstractmethod
    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        """Return x, rebuilt from y, and dx. Gradients of the parameters are ADDED into their `grad`
        views.

        With a `cache` from `forward_with_cache`, nothing is rebuilt: the cached values are used.
        """

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Initialise data-dependent parameters from the batch `x`, once, before training. Returns
        y.

        `total` adds up a vector over the processes that share one batch.
        """
        return self.forward(x)[0]

    def forward_with_cache(self, x: Array) -> tuple[Array, Array, Cache]:
        """Like `forward`; also return a cache with which `backward` need not rebuild anything."""
        y, logdet = self.forward(x)
        return y, logdet, x


def zero_logdet(x: Array) -> Array:
    """Return (N,) zeros, float64: the log-determinant of a map that preserves volume."""
    xp = namespace(x)
    return xp.zeros(x.shape[0], xp.float64)


def total_logdet(logdets: list[Array], y: Array) -> Array:
    """Return the sum of the layers' log-determinants, (N,); zeros if there are no layers."""
    if not logdets:
        return zero_logdet(y)
    total = logdets[0]
    for logdet in logdets[1:]:
        total = total + logdet
    return total


def check_part(where: str, part: Any, *methods: str) -> None:
    """Raise GlowliteError unless `part` has these methods, and trainable parameters if it
    has any.
    """
    for method in methods:
        if not callable(getattr(part, method, None)):
            raise GlowliteError(
                f"{where}: {type(part).__name__} has no {method}; it needs {', '.join(methods)},"
                " see docs/your_own_flow.md"
            )
    check_registered(where, part)


def forward_with_cache(layer: Any, x: Array) -> tuple[Array, Array, Cache]:
    """Call `layer.forward_with_cache(x)`. A layer without this method keeps nothing and rebuilds
    its input.
    """
    if hasattr(layer, "forward_with_cache"):
        y, logdet, cache = layer.forward_with_cache(x)
        return y, logdet, cache
    return *layer.forward(x), None


def needs_cache(layer: Any) -> bool:
    """Whether `layer.backward` needs a (small) cache now: in training, batch normalisation cannot
    recover the batch statistics from its output.
    """
    return bool(getattr(layer, "needs_cache", False))


def backward(
    layer: Any, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
) -> tuple[Array, Array]:
    """Call `layer.backward` with four arguments if there is a cache, otherwise with three."""
    x, dx = layer.backward(y, dy, dlogdet, *(() if cache is None else (cache,)))
    return x, dx


def initialize(layer: Any, x: Array, total: SumOverProcesses = this_process) -> Array:
    """Call `layer.initialize(x, total)`. A layer without this method has nothing that depends on
    data.
    """
    return layer.initialize(x, total) if hasattr(layer, "initialize") else layer.forward(x)[0]
