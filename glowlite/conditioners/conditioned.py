"""A network that sees a condition in addition to its input; for example, an image whose noise is
the input.

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

    `given(condition)` is a network; without a condition there is no network. The condition gets no
    gradient.
    """

    def __init__(self, net: Any) -> None:
        self.net = net
        self.condition: Array | None = None

    def given(self, condition: Array) -> Self:
        """Return the network that sees `condition`, (N, H, W, C'), or (1, H, W, C') for all
        samples.
        """
        twin = self.shallow_copy()
        # a view that NumPy makes read-only
        twin.condition = namespace(condition).broadcast_to(condition, condition.shape)
        return twin

    def forward(self, x: Array) -> tuple[Array, Cache]:
        h, cache = self.net.forward(self._beside(x))
        return h, (cache, x.shape[-1])

    def backward(self, dh: Array, cache: Cache) -> Array:
        net_cache, channels = cache
        dboth: Array = self.net.backward(dh, net_cache)
        return dboth[..., :channels]  # the rest is the condition's gradient

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        h: Array = self.net.initialize(self._beside(x), total)
        return h

    def _beside(self, x: Array) -> Array:
        """Return x and the condition side by side, (N, H, W, C + C')."""
        if self.condition is None:
            raise GlowliteError("a network that needs a condition was given none: call given(...)")
        if len(self.condition) not in (1, len(x)):
            raise ShapeError(
                f"{len(self.condition)} conditions are given, but {len(x)} samples; give one"
                " condition per sample, or one for all"
            )
        xp = namespace(x)
        condition = to_device(self.condition, xp).astype(x.dtype)
        condition = xp.broadcast_to(condition, (len(x), *condition.shape[1:]))
        return xp.concatenate((x, condition), axis=-1)
