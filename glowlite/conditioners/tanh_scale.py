r"""RealNVP's log-scale: the network's output passes through a tanh and is multiplied by a learned
factor.

    t, r = the even and the odd channels of net(x)          h = a tanh(r) [+ b]

So a coupling with s = exp(h) has |log s| <= |a| + |b|, whatever the network's output.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.layout import interleaved
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.conditioners.base import Cache, Conditioner


class TanhScale(Conditioner):
    """x -> t and h, (N, ..., 2C), interleaved, from the output of the network `raw`.

    `channels`: C, for one factor a per channel, (C,); None for a single number, (1,). `a`: its
    initial value. `offset`: whether there is a b, (1,), which starts at 0.
    """

    def __init__(
        self, raw: Any, channels: int | None = None, a: float = 1.0, offset: bool = False
    ) -> None:
        self.raw = raw
        self.a = Parameter(np.full(channels or 1, float(a)))
        self.b = Parameter(np.zeros(1)) if offset else None

    def forward(self, x: Array) -> tuple[Array, Cache]:
        out, raw_cache = self.raw.forward(x)
        h, tanh = self.scaled(out)
        return h, (tanh, raw_cache)

    def scaled(self, out: Array) -> tuple[Array, Array]:
        """Return t and h, interleaved, and tanh(r)."""
        tanh = namespace(out).tanh(out[..., 1::2])
        h = self.a.value * tanh if self.b is None else self.a.value * tanh + self.b.value
        return interleaved(out[..., 0::2], h), tanh

    def backward(self, dh: Array, cache: Cache) -> Array:
        tanh, raw_cache = cache
        dt, dh = dh[..., 0::2], dh[..., 1::2]
        # h = a tanh(r) + b:  da = sum dh tanh(r),  db = sum dh,  dr = a (1 - tanh(r)^2) dh
        da = (dh * tanh).sum(axis=tuple(range(dh.ndim - 1)))
        self.a.grad[...] += da if self.a.value.size == da.size else da.sum()
        if self.b is not None:
            self.b.grad[...] += dh.sum()
        dr = self.a.value * (1 - tanh * tanh) * dh
        return self.raw.backward(interleaved(dt, dr), raw_cache)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        return self.scaled(self.raw.initialize(x, total))[0]
