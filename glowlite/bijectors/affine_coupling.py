r"""The affine coupling (Table 1, row 3): one half is scaled and shifted by functions of the other.

    y2 = s * x2 + t  (`shift` = `after`)   or   y2 = (x2 + t) * s  (`before`)
    x2 = (y2 - t) / s                      or   x2 = y2 / s - t           log|det| = sum log s

t and h are the even and the odd channels of net(x1), and s = s(h) is one of

    exp      log s = h                         sigmoid   s = 1 / (1 + exp(-(h + 2)))
    bounded  log s = c (2/pi) atan(h / c)      keeps s in (exp(-c), exp(c)), away from 0
"""

from __future__ import annotations

import math
from typing import Any

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import interleaved, per_sample, sum_per_sample
from glowlite.bijectors.coupling import Coupling
from glowlite.errors import GlowliteError

SIGMOID_SHIFT = 2.0
SCALES = ("exp", "sigmoid", "bounded")


class AffineCoupling(Coupling):
    """`net` gives C channels: t = net_output[0::2], h = net_output[1::2].

    `scale`: `exp`, `sigmoid` or `bounded`; `bound`: c, nats. `shift`: t `before` or `after` the
    scale.
    """

    def __init__(
        self,
        channels: int,
        net: Any,
        changed: str = "second",
        scale: str = "bounded",
        shift: str = "before",
        bound: float = 2.0,
    ) -> None:
        super().__init__(channels, net, changed)
        if scale not in SCALES:
            raise GlowliteError(
                f"AffineCoupling: scale must be 'exp', 'sigmoid' or 'bounded', got {scale!r}"
            )
        if shift not in ("before", "after"):
            raise GlowliteError(f"AffineCoupling: shift must be 'before' or 'after', got {shift!r}")
        if not bound > 0:
            raise GlowliteError(f"AffineCoupling: bound must be positive, got {bound}")
        self.scale, self.shift, self.bound = scale, shift, bound

    def log_scale(self, h: Array) -> Array:
        """Return log s(h)."""
        xp = namespace(h)
        if self.scale == "exp":
            return h
        if self.scale == "sigmoid":
            a = h + SIGMOID_SHIFT
            return xp.minimum(a, 0) - xp.log1p(xp.exp(-abs(a)))  # log sigmoid(a), without overflow
        return (2 / math.pi * self.bound) * xp.arctan(h / self.bound)

    def log_scale_slope(self, h: Array, log_s: Array) -> Array:
        """Return d log s / dh."""
        if self.scale == "exp":
            return 1.0
        if self.scale == "sigmoid":
            return -namespace(h).expm1(log_s)  # 1 - s
        return (2 / math.pi) / (1 + (h / self.bound) ** 2)

    def transform(self, x: Array, net_output: Array) -> tuple[Array, Array]:
        x1, x2 = self.halves(x)
        t, h = net_output[..., 0::2], net_output[..., 1::2]
        log_s = self.log_scale(h)
        s = namespace(x).exp(log_s)
        y2 = (x2 + t) * s if self.shift == "before" else x2 * s + t
        return self.join(x1, y2), sum_per_sample(log_s)

    def transform_inverse(self, y: Array, net_output: Array) -> Array:
        y1, y2 = self.halves(y)
        t, h = net_output[..., 0::2], net_output[..., 1::2]
        s = namespace(y).exp(self.log_scale(h))
        return self.join(y1, y2 / s - t if self.shift == "before" else (y2 - t) / s)

    def transform_backward(
        self, y: Array, net_output: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        (y1, y2), (dy1, dy2) = self.halves(y), self.halves(dy)
        t, h = net_output[..., 0::2], net_output[..., 1::2]
        log_s = self.log_scale(h)
        s = namespace(y).exp(log_s)
        if x is None:
            x = self.join(y1, y2 / s - t if self.shift == "before" else (y2 - t) / s)
        dx2 = dy2 * s
        # before: y2 = (x2 + t) s:  dt = s dy2,  dlog_s = y2 dy2
        # after:  y2 = s x2 + t:    dt = dy2,    dlog_s = s x2 dy2
        if self.shift == "before":
            dt, dlog_s = dx2, dy2 * y2
        else:
            dt, dlog_s = dy2, dx2 * self.halves(x)[1]
        dh = (dlog_s + per_sample(dlogdet, y)) * self.log_scale_slope(h, log_s)
        return x, self.join(dy1, dx2), interleaved(dt, dh)
