r"""The affine coupling (Table 1, row 3): one half is scaled and shifted by functions of the other.

    y2 = s * x2 + t   (`shift` = `after`)   or   y2 = (x2 + t) * s   (`before`)        (t, h) from raw = net(x1),  s = s(h)
    x2 = (y2 - t) / s                       or   x2 = y2 / s - t                       log|det| = sum log s

s(h) is one of

    exp      log s = h                         sigmoid   s = 1 / (1 + exp(-(h + 2)))
    bounded  log s = c (2/pi) atan(h / c)      which keeps s in (exp(-c), exp(c)), so that no inverse divides by zero
"""

from __future__ import annotations

import math

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.bijectors.coupling import Coupling, planes_like
from glowlite.conditioners.base import Conditioner
from glowlite.errors import GlowliteError

SIGMOID_SHIFT = 2.0


class AffineCoupling(Coupling):
    """`net` gives C channels, t = raw[0::2], h = raw[1::2].

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
        if scale not in LOG_SCALE:
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

    def _map(self, raw: Array) -> tuple[Array, Array, Array, Array]:
        """t, h, log s and s, each (N, H, W, C/2)."""
        h = raw[..., 1::2]
        log_s = self._log_scale(h)
        return raw[..., 0::2], h, log_s, namespace(raw).exp(log_s)

    def change(self, x: Array, raw: Array) -> tuple[Array, Array]:
        if namespace(x) is not np:
            y, log_s = planes_like(x), planes_like(x[..., : self.channels // 2])
            self._run("forward", x, x, raw, y, log_s)
        else:
            x1, x2 = self.halves(x)
            t, _, log_s, s = self._map(raw)
            y = self.join(x1, (x2 + t) * s if self.shift == "before" else x2 * s + t)
        return y, log_s.sum(axis=(1, 2, 3), dtype=namespace(x).float64)

    def restore(self, y: Array, raw: Array) -> Array:
        if namespace(y) is not np:
            x = planes_like(y)
            self._run("inverse", y, y, raw, x)
            return x
        t, _, _, s = self._map(raw)
        return self._restored(y, t, s)

    def _restored(self, y: Array, t: Array, s: Array) -> Array:
        y1, y2 = self.halves(y)
        return self.join(y1, y2 / s - t if self.shift == "before" else (y2 - t) / s)

    def change_backward(
        self, y: Array, raw: Array, dy: Array, dlogdet: Array, x: Array | None
    ) -> tuple[Array, Array, Array]:
        if namespace(y) is not np:
            rebuilt, dx, draw = planes_like(y), planes_like(y), planes_like(raw)
            self._run("backward", y, y, raw, dy, dlogdet, rebuilt, dx, draw)
            return rebuilt if x is None else x, dx, draw
        t, h, log_s, s = self._map(raw)
        if x is None:
            x = self._restored(y, t, s)
        (_, x2), (_, y2), (dy1, dy2) = self.halves(x), self.halves(y), self.halves(dy)
        dx2 = dy2 * s
        # before: y2 = (x2 + t) s:  dt = s dy2,  dlog_s = y2 dy2;  after: y2 = s x2 + t:  dt = dy2,  dlog_s = s x2 dy2
        dt, dlog_s = (dx2, dy2 * y2) if self.shift == "before" else (dy2, dx2 * x2)
        dlog_s = dlog_s + dlogdet.astype(s.dtype)[:, None, None, None]
        dh = dlog_s * self._log_scale_slope(h, log_s)
        return x, self.join(dy1, dx2), interleaved(dt, dh)

    def _run(self, which: str, like: Array, *arguments: Array) -> None:
        numbers = [float(self.bound), like.shape[1] * like.shape[2]] if which == "backward" else [float(self.bound)]
        name = f"affine_{self.scale}_{self.shift}_{which}"
        self.run_kernel(name, affine_kernel(self.scale, self.shift, which), like, *arguments, *numbers)


def interleaved(even: Array, odd: Array) -> Array:
    """Channels even_0, odd_0, even_1, ...: (N, H, W, C/2) twice -> (N, H, W, C), in planes as every array here."""
    n, h, w, half = even.shape
    planes = namespace(even).empty((2 * half, n, h, w), even.dtype)
    both = planes.transpose(1, 2, 3, 0)
    both[..., 0::2], both[..., 1::2] = even, odd
    return both


# The same in CUDA C++. log s, then d log s / dh.
LOG_SCALE = {
    "exp": ("h", "T(1)"),
    "sigmoid": ("fmin(h + T(2), T(0)) - log1p(exp(-fabs(h + T(2))))", "-expm1(log_s)"),
    "bounded": (
        "T(0.63661977236758134) * T(bound) * atan(h / T(bound))",
        "T(0.63661977236758134) / (T(1) + (h / T(bound)) * (h / T(bound)))",
    ),
}
FORWARD = (
    "const T* x, const T* raw, T* y, T* log_scale, const double bound",
    """
  y[stays] = x[stays];
  y[changes] = {y2};
  log_scale[i] = log_s;
""",
)
INVERSE = (
    "const T* y, const T* raw, T* x, const double bound",
    """
  x[stays] = y[stays];
  x[changes] = {x2};
""",
)
BACKWARD = (
    "const T* y, const T* raw, const T* dy, const double* dlogdet, T* x, T* dx, T* draw, const double bound, const int area",
    """
  const T x2 = {x2}, dy2 = dy[changes], dx2 = dy2 * s;
  const T dlog_s = {dlog_s} + T(dlogdet[p / area]);
  x[stays] = y[stays];
  x[changes] = x2;
  dx[stays] = dy[stays];
  dx[changes] = dx2;
  draw[2 * a * pixels + p] = {dt};
  draw[(2 * a + 1) * pixels + p] = dlog_s * ({slope});
""",
)
SHIFT = {
    "before": {"y2": "(x[changes] + t) * s", "x2": "y[changes] / s - t", "dt": "dx2", "dlog_s": "dy2 * y[changes]"},
    "after": {"y2": "x[changes] * s + t", "x2": "(y[changes] - t) / s", "dt": "dy2", "dlog_s": "dx2 * x2"},
}


def affine_kernel(scale: str, shift: str, which: str) -> tuple[str, str]:
    """Parameters and body of the kernel `forward`, `inverse` or `backward`."""
    parameters, body = {"forward": FORWARD, "inverse": INVERSE, "backward": BACKWARD}[which]
    log_scale, slope = LOG_SCALE[scale]
    begin = f"""
  const T t = raw[2 * a * pixels + p], h = raw[(2 * a + 1) * pixels + p];
  const T log_s = {log_scale}, s = exp(log_s);
"""
    return parameters, begin + body.format(slope=slope, **SHIFT[shift])
