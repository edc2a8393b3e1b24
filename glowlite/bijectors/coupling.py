r"""Coupling layers: one half of the channels changes, by a map that the other half chooses (Table 1, row 3).

    raw = net(x1);   affine:   y2 = s * x2 + t   or   y2 = (x2 + t) * s,    (t, h) from raw,  s = s(h)
                     additive: y2 = x2 + raw
    x2 = (y2 - t) / s,   y2 / s - t,   y2 - raw             log|det| = sum log s, or 0

y1 = x1, so the inverse can run the same network on the same input. s(h) is one of

    exp      log s = h                         sigmoid   s = 1 / (1 + exp(-(h + 2)))
    bounded  log s = c (2/pi) atan(h / c)      which keeps s in (exp(-c), exp(c)), so that no inverse divides by zero
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from glowlite.backend import Array, namespace
from glowlite.bijectors.base import Bijector, Kept, zero_logdet
from glowlite.communicator import Total, of_one
from glowlite.conditioners.base import Conditioner
from glowlite.errors import GlowliteError
from glowlite.shapes import check_half, check_images

SIGMOID_SHIFT = 2.0

Map = Any  # what a network's output means for the half that changes: a coupling's own business


class _Coupling(Bijector):
    """x, y: (N, H, W, C), C even. `net` takes C/2 channels. `changed` says which half is changed: `first`, `second`."""

    def __init__(self, channels: int, net: Conditioner, changed: str = "second") -> None:
        check_half(type(self).__name__, channels)
        if changed not in ("first", "second"):
            raise GlowliteError(f"{type(self).__name__}: changed must be 'first' or 'second', got {changed!r}")
        self.channels = channels
        self.changed = changed
        self.net = net

    def _halves(self, x: Array) -> tuple[Array, Array]:
        """x1, which stays, and x2, which is changed."""
        check_images(type(self).__name__, x, self.channels, x.dtype)  # net checks the dtype
        first, second = x[..., : self.channels // 2], x[..., self.channels // 2 :]
        return (second, first) if self.changed == "first" else (first, second)

    def _join(self, x1: Array, x2: Array) -> Array:
        halves = (x2, x1) if self.changed == "first" else (x1, x2)
        return namespace(x1).concatenate(halves, axis=-1)

    @abstractmethod
    def _map(self, raw: Array) -> Map:
        """What the output of the network means for x2."""

    @abstractmethod
    def _change(self, x2: Array, m: Map) -> tuple[Array, Array]:
        """y2 and log|det|, (N,)."""

    @abstractmethod
    def _restore(self, y2: Array, m: Map) -> Array:
        """x2."""

    @abstractmethod
    def _change_backward(self, x2: Array, y2: Array, m: Map, dy2: Array, dlogdet: Array) -> tuple[Array, Array]:
        """dx2 and draw."""

    def forward(self, x: Array) -> tuple[Array, Array]:
        x1, x2 = self._halves(x)
        y2, logdet = self._change(x2, self._map(self.net.apply(x1)))
        return self._join(x1, y2), logdet

    def forward_keeping(self, x: Array) -> tuple[Array, Array, Kept]:
        x1, x2 = self._halves(x)
        raw, cache = self.net.forward(x1)
        y2, logdet = self._change(x2, self._map(raw))
        return self._join(x1, y2), logdet, (x, raw, cache)

    def inverse(self, y: Array) -> Array:
        y1, y2 = self._halves(y)
        return self._join(y1, self._restore(y2, self._map(self.net.apply(y1))))

    def backward(self, y: Array, dy: Array, dlogdet: Array, kept: Kept = None) -> tuple[Array, Array]:
        y1, y2 = self._halves(y)
        dy1, dy2 = self._halves(dy)
        if kept is None:
            raw, cache = self.net.forward(y1)  # once: it inverts the coupling and feeds its gradient
            m = self._map(raw)
            x = self._join(y1, self._restore(y2, m))
        else:
            x, raw, cache = kept
            m = self._map(raw)
        _, x2 = self._halves(x)
        dx2, draw = self._change_backward(x2, y2, m, dy2, dlogdet)
        return x, self._join(dy1 + self.net.backward(draw, cache), dx2)  # x1 acts through y1 and through net

    def initialize(self, x: Array, total: Total = of_one) -> Array:
        x1, x2 = self._halves(x)
        y2, _ = self._change(x2, self._map(self.net.initialize(x1, total)))
        return self._join(x1, y2)


class AdditiveCoupling(_Coupling):
    """y2 = x2 + net(x1); `net` gives C/2 channels."""

    def _map(self, raw: Array) -> Map:
        return raw

    def _change(self, x2: Array, m: Map) -> tuple[Array, Array]:
        return x2 + m, zero_logdet(x2)

    def _restore(self, y2: Array, m: Map) -> Array:
        return y2 - m

    def _change_backward(self, x2: Array, y2: Array, m: Map, dy2: Array, dlogdet: Array) -> tuple[Array, Array]:
        return dy2, dy2


class AffineCoupling(_Coupling):
    """y2 = s * x2 + t (`shift` = `after`) or (x2 + t) * s (`before`); `net` gives C channels, t = raw[0::2], h = raw[1::2].

    `scale`: `exp`, `sigmoid` or `bounded`; `bound`: c, nats.
    """

    def __init__(
        self,
        channels: int,
        net: Conditioner,
        changed: str = "second",
        scale: str = "sigmoid",
        shift: str = "before",
        bound: float = 2.0,
    ) -> None:
        super().__init__(channels, net, changed)
        if scale not in ("exp", "sigmoid", "bounded"):
            raise GlowliteError(f"AffineCoupling: scale must be 'exp', 'sigmoid' or 'bounded', got {scale!r}")
        if shift not in ("before", "after"):
            raise GlowliteError(f"AffineCoupling: shift must be 'before' or 'after', got {shift!r}")
        if not bound > 0:
            raise GlowliteError(f"AffineCoupling: bound must be positive, got {bound}")
        self.scale, self.shift, self.bound = scale, shift, bound

    def _log_scale(self, h: Array) -> Array:
        xp = namespace(h)
        if self.scale == "exp":
            return h
        if self.scale == "sigmoid":
            a = h + SIGMOID_SHIFT
            return xp.minimum(a, 0) - xp.log1p(xp.exp(-abs(a)))  # log sigmoid(a), without overflow
        return (2 / math.pi * self.bound) * xp.arctan(h / self.bound)

    def _log_scale_slope(self, h: Array, log_s: Array) -> Array:
        """d log s / dh."""
        if self.scale == "exp":
            return 1.0
        if self.scale == "sigmoid":
            return -namespace(h).expm1(log_s)  # 1 - s
        return (2 / math.pi) / (1 + (h / self.bound) ** 2)

    def _map(self, raw: Array) -> Map:
        """t, h, log s and s, each (N, H, W, C/2)."""
        h = raw[..., 1::2]
        log_s = self._log_scale(h)
        return raw[..., 0::2], h, log_s, namespace(raw).exp(log_s)

    def _change(self, x2: Array, m: Map) -> tuple[Array, Array]:
        t, _, log_s, s = m
        y2 = (x2 + t) * s if self.shift == "before" else x2 * s + t
        return y2, log_s.sum(axis=(1, 2, 3), dtype=namespace(s).float64)

    def _restore(self, y2: Array, m: Map) -> Array:
        t, _, _, s = m
        return y2 / s - t if self.shift == "before" else (y2 - t) / s

    def _change_backward(self, x2: Array, y2: Array, m: Map, dy2: Array, dlogdet: Array) -> tuple[Array, Array]:
        _, h, log_s, s = m
        dx2 = dy2 * s
        # before: y2 = (x2 + t) s:  dt = s dy2,  dlog_s = y2 dy2;  after: y2 = s x2 + t:  dt = dy2,  dlog_s = s x2 dy2
        dt, dlog_s = (dx2, dy2 * y2) if self.shift == "before" else (dy2, dx2 * x2)
        dlog_s = dlog_s + dlogdet.astype(s.dtype)[:, None, None, None]
        dh = dlog_s * self._log_scale_slope(h, log_s)
        return dx2, interleaved(dt, dh)


def interleaved(even: Array, odd: Array) -> Array:
    """Channels even_0, odd_0, even_1, ...: (N, H, W, C/2) twice -> (N, H, W, C), in planes as every array here."""
    n, h, w, half = even.shape
    planes = namespace(even).empty((2 * half, n, h, w), even.dtype)
    both = planes.transpose(1, 2, 3, 0)
    both[..., 0::2], both[..., 1::2] = even, odd
    return both
