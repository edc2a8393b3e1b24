"""A network that sees a condition beside its input: an image, say, of which the input is the noise.

h = net(x, condition)
"""

from __future__ import annotations

from typing import Any, Self

from glowlite.arrays.backend import Array, namespace, to_device
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.conditioners.base import Cache, Conditioner
from glowlite.errors import GlowliteError, ShapeError


class Conditioned(Conditioner):
    """x: (N, H, W, C) -> h: (N, H, W, C_out), by a `net` of C + C' channels, a Conditioner.

    `given(condition)` is a network; without a condition there is none. The condition has no
    gradient.
    """

    def __init__(self, net: Any) -> None:
        self.net = net
        self.condition: Array | None = None

    def given(self, condition: Array) -> Self:
        """The network that sees `condition`, (N, H, W, C'), or (1, H, W, C') for all samples."""
        twin = self.shallow_copy()
        # a view that NumPy lets nobody write to
        twin.condition = namespace(condition).broadcast_to(condition, condition.shape)
        return twin

    def forward(self, x: Array) -> tuple[Array, Cache]:
        h, cache = self.net.forward(self._beside(x))
        return h, (cache, x.shape[-1])

    def backward(self, dh: Array, cache: Cache) -> Array:
        net_cache, channels = cache
        dboth: Array = self.net.backward(dh, net_cache)
        return dboth[..., :channels]  # the rest is that of the condition

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        h: Array = self.net.initialize(self._beside(x), total)
        return h

    def _beside(self, x: Array) -> Array:
        """x and the condition, (N, H, W, C + C')."""
        if self.condition is None:
            raise GlowliteError("a network that sees a condition was given none: say given(...)")
        if len(self.condition) not in (1, len(x)):
            raise ShapeError(
                f"{len(self.condition)} conditions are given, and {len(x)} samples; give one for"
                " each, or one for all"
            )
        xp = namespace(x)
        condition = to_device(self.condition, xp).astype(x.dtype)
        condition = xp.broadcast_to(condition, (len(x), *condition.shape[1:]))
        return xp.concatenate((x, condition), axis=-1)
