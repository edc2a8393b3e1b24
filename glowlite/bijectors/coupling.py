r"""Coupling layers: one half of the channels is transformed by a map that depends on the other half
(Table 1, row 3).

    net_output = net(x1)          y1 = x1          y2 = f(x2; net_output)

Since y1 = x1, the inverse can run the same network on the same input. This file has the additive
map, y2 = x2 + net_output, with log|det| = 0; `affine_coupling.py` has the affine map.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_channels, check_half
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import Bijector, Cache, check_part, zero_logdet
from glowlite.errors import GlowliteError


class Coupling(Bijector):
    """x, y: (N, H, W, C) or (N, C), C even.

    `changed`: which half is changed, `first` or `second`. `net` takes C/2 channels: a Conditioner,
    or any object with `forward(x) -> h, cache` and `backward(dh, cache) -> dx`.
    """

    def __init__(self, channels: int, net: Any, changed: str = "second") -> None:
        where = type(self).__name__
        check_half(where, channels)
        check_part(f"{where}: net", net, "forward", "backward")
        if changed not in ("first", "second"):
            raise GlowliteError(f"{where}: changed must be 'first' or 'second', got {changed!r}")
        self.channels = channels
        self.changed = changed
        self.net = net

    def halves(self, x: Array) -> tuple[Array, Array]:
        """Return views: x1, which stays, and x2, which is changed."""
        check_channels(type(self).__name__, x, self.channels, x.dtype)  # net checks the dtype
        first, second = x[..., : self.channels // 2], x[..., self.channels // 2 :]
        return (second, first) if self.changed == "first" else (first, second)

    def join(self, x1: Array, x2: Array) -> Array:
        halves = (x2, x1) if self.changed == "first" else (x1, x2)
        return namespace(x1).concatenate(halves, axis=-1)

    @abstractmethod
    def transform(self, x: Array, net_output: Array) -> tuple[Array, Array]:
        """Return y and log|det|, (N,)."""

    @abstractmethod
    def transform_inverse(self, y: Array, net_output: Array) -> Array:
        """x."""

    @abstractmethod
    def transform_backward(
        self, y: Array, net_output: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        """Return x (rebuilt unless it is given), dx and dnet_output.

        dx does not yet contain the gradient that reaches x1 through the network.
        """

    def forward(self, x: Array) -> tuple[Array, Array]:
        x1, _ = self.halves(x)
        return self.transform(x, self.net.forward(x1)[0])

    def forward_with_cache(self, x: Array) -> tuple[Array, Array, Cache]:
        """Run `forward` with a network that remembers its output and cache."""
        twin = self.shallow_copy()
        twin.net = _Remembering(self.net)
        y, logdet = twin.forward(x)
        return y, logdet, (x, *twin.net.given)

    def inverse(self, y: Array) -> Array:
        y1, _ = self.halves(y)
        return self.transform_inverse(y, self.net.forward(y1)[0])

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        y1, _ = self.halves(y)
        # the network runs once: it inverts the coupling and feeds its gradient
        x, net_output, net_cache = (None, *self.net.forward(y1)) if cache is None else cache
        x, dx, dnet_output = self.transform_backward(y, net_output, dy, dlogdet, x)
        dx1, _ = self.halves(dx)
        dx1 += self.net.backward(dnet_output, net_cache)  # x1 acts through y1 and through net
        return x, dx

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        if not hasattr(self.net, "initialize"):
            return self.forward(x)[0]
        x1, _ = self.halves(x)
        return self.transform(x, self.net.initialize(x1, total))[0]


class _Remembering:
    """A network during one pass; `given`: its output and its cache."""

    def __init__(self, net: Any) -> None:
        self._net = net

    def __getattr__(self, name: str) -> Any:
        return getattr(self._net, name)

    def forward(self, x: Array) -> tuple[Array, Cache]:
        self.given = self._net.forward(x)
        return self.given


class AdditiveCoupling(Coupling):
    """y2 = x2 + net(x1); `net` gives C/2 channels."""

    def transform(self, x: Array, net_output: Array) -> tuple[Array, Array]:
        x1, x2 = self.halves(x)
        return self.join(x1, x2 + net_output), zero_logdet(x)

    def transform_inverse(self, y: Array, net_output: Array) -> Array:
        y1, y2 = self.halves(y)
        return self.join(y1, y2 - net_output)

    def transform_backward(
        self, y: Array, net_output: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        _, dy2 = self.halves(dy)
        x = self.transform_inverse(y, net_output) if x is None else x
        return x, namespace(dy).array(dy), dy2
