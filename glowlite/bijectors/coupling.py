r"""Coupling layers: one half of the channels changes, by a map that the other half chooses (Table 1, row 3).

    raw = net(x1)          y1 = x1          y2 = f(x2; raw)

y1 = x1, so the inverse can run the same network on the same input. The additive map stands here, y2 = x2 + raw, with
log|det| = 0; the affine one in `affine_coupling.py`. Each map has a twin for GPUs, one kernel a pass over all channels.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_half, check_images
from glowlite.arrays.kernels import launch
from glowlite.arrays.layout import pixel_matrix, to_images
from glowlite.arrays.statistics import Total, of_one
from glowlite.bijectors.base import Bijector, Kept, zero_logdet
from glowlite.conditioners.base import Conditioner
from glowlite.errors import GlowliteError


class Coupling(Bijector):
    """x, y: (N, H, W, C), C even. `net` takes C/2 channels. `changed` says which half is changed: `first`, `second`."""

    def __init__(self, channels: int, net: Conditioner, changed: str = "second") -> None:
        check_half(type(self).__name__, channels)
        if changed not in ("first", "second"):
            raise GlowliteError(f"{type(self).__name__}: changed must be 'first' or 'second', got {changed!r}")
        self.channels = channels
        self.changed = changed
        self.net = net

    def with_net(self, net: Conditioner) -> Coupling:
        """The same coupling around another network."""
        twin = self.shallow_copy()
        twin.net = net
        return twin

    def halves(self, x: Array) -> tuple[Array, Array]:
        """Views: x1, which stays, and x2, which is changed."""
        check_images(type(self).__name__, x, self.channels, x.dtype)  # net checks the dtype
        first, second = x[..., : self.channels // 2], x[..., self.channels // 2 :]
        return (second, first) if self.changed == "first" else (first, second)

    def join(self, x1: Array, x2: Array) -> Array:
        halves = (x2, x1) if self.changed == "first" else (x1, x2)
        return namespace(x1).concatenate(halves, axis=-1)

    @abstractmethod
    def change(self, x: Array, raw: Array) -> tuple[Array, Array]:
        """y and log|det|, (N,)."""

    @abstractmethod
    def restore(self, y: Array, raw: Array) -> Array:
        """x."""

    @abstractmethod
    def change_backward(
        self, y: Array, raw: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        """x, restored unless it is given; dx, of which the half that stays lacks what comes through the network; draw."""

    def forward(self, x: Array) -> tuple[Array, Array]:
        x1, _ = self.halves(x)
        return self.change(x, self.net.apply(x1))

    def forward_keeping(self, x: Array) -> tuple[Array, Array, Kept]:
        x1, _ = self.halves(x)
        raw, cache = self.net.forward(x1)
        return *self.change(x, raw), (x, raw, cache)

    def inverse(self, y: Array) -> Array:
        y1, _ = self.halves(y)
        return self.restore(y, self.net.apply(y1))

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        y1, _ = self.halves(y)
        # the network runs once: it inverts the coupling and feeds its gradient
        x, raw, cache = (None, *self.net.forward(y1)) if kept is None else kept
        x, dx, draw = self.change_backward(y, raw, dy, dlogdet, x)
        dx1, _ = self.halves(dx)
        self.net.add_backward(draw, cache, dx1)  # x1 acts through y1 and through net
        return x, dx

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        x1, _ = self.halves(x)
        return self.change(x, self.net.initialize(x1, total))[0]

    def run_kernel(self, name: str, kernel: tuple[str, str], like: Array, *arguments: Array | float) -> None:
        """Launch a kernel over the elements of one half: i = channel a, pixel p; `stays` and `changes` are their places."""
        n, h, w, channels = like.shape
        pixels, half = n * h * w, channels // 2
        parameters, body = kernel
        matrices = [pixel_matrix(a) if getattr(a, "ndim", 0) == 4 else a for a in arguments]
        contiguous = [namespace(like).ascontiguousarray(a) if hasattr(a, "ndim") else a for a in matrices]
        launch(
            namespace(like), name, f"{parameters}, const int pixels, const int half, const int second", PLACES + body,
            half * pixels, *contiguous, pixels, half, self.changed == "second",
        )  # fmt: skip


class AdditiveCoupling(Coupling):
    """y2 = x2 + net(x1); `net` gives C/2 channels."""

    def change(self, x: Array, raw: Array) -> tuple[Array, Array]:
        return self._moved(x, raw, 1), zero_logdet(x)

    def restore(self, y: Array, raw: Array) -> Array:
        return self._moved(y, raw, -1)

    def change_backward(
        self, y: Array, raw: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        _, dy2 = self.halves(dy)
        return self.restore(y, raw) if x is None else x, namespace(dy).array(dy), dy2

    def _moved(self, x: Array, raw: Array, sign: int) -> Array:
        """x2 + sign raw beside x1."""
        if namespace(x) is not np:
            moved = planes_like(x)
            self.run_kernel("additive", ADDITIVE, x, x, raw, moved, float(sign))
            return moved
        x1, x2 = self.halves(x)
        return self.join(x1, x2 + raw if sign > 0 else x2 - raw)


def planes_like(x: Array) -> Array:
    """An array of the shape of x whose channels are planes; see `pixels.py`."""
    return to_images(namespace(x).empty((x.shape[3], x[..., 0].size), x.dtype), x.shape)


# Element i of a half: channel a, pixel p, and where it lies in an array of all channels.
PLACES = """
  const int a = i / pixels, p = i % pixels;
  const int stays = (second ? a : half + a) * pixels + p, changes = (second ? half + a : a) * pixels + p;
"""

ADDITIVE = (
    "const T* x, const T* raw, T* y, const double sign",
    """
  y[stays] = x[stays];
  y[changes] = x[changes] + T(sign) * raw[i];
""",
)
