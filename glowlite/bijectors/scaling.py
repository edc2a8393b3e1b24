r"""The last layer of NICE: every component of a sample has its own scale.

y_i = e^{s_i} x_i          x_i = e^{-s_i} y_i          log|det| = sum_i s_i
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.arguments import real_number
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import SumOverProcesses, channel_statistics, this_process
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import GlowliteError, ShapeError


class Scaling(Bijector):
    """x, y: (N, ...), where `shape` is the shape of one sample, such as (D,) or (H, W, C).

    Parameter: `log_scale` p, of that shape, which starts at zero; s = `factor` p. (At a learning
    rate of 1e-3, Adam moves a parameter by about one in a thousand steps, and the scales of a NICE
    of images end at four to seven nats. The original Glow code has a factor of 3 for its scales.)
    With `std`, `initialize` sets p so that every component of the batch it sees has this standard
    deviation. Raises GlowliteError unless both are above 0. Cost: O(N D) for D components.
    """

    def __init__(
        self, shape: tuple[int, ...], std: float | None = None, factor: float = 1.0
    ) -> None:
        self.log_scale = Parameter(np.zeros(shape))
        if std is not None and not real_number("Scaling", "std", std):
            raise GlowliteError("Scaling: std must be above 0")
        if not real_number("Scaling", "factor", factor):
            raise GlowliteError("Scaling: factor must be above 0")
        self.std, self.factor = std, factor

    def forward(self, x: Array) -> tuple[Array, Array]:
        self._check("forward", x)
        s = self.factor * self.log_scale.value
        return x * namespace(s).exp(s), self._logdet(x)

    def inverse(self, y: Array) -> Array:
        self._check("inverse", y)
        s = self.factor * self.log_scale.value
        return y * namespace(s).exp(-s)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # dx_i = e^{s_i} dy_i;  dy_i/ds_i = y_i, and d log|det| / ds_i = 1: ds_i = sum_n (dy_i y_i +
        # dlogdet),  and s_i = factor p_i
        x, s = self.inverse(y) if cache is None else cache, self.factor * self.log_scale.value
        ds = (dy * y).sum(axis=0) + dlogdet.sum().astype(y.dtype)
        self.log_scale.grad[...] += self.factor * ds
        return x, dy * namespace(s).exp(s)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Raises GlowliteError, with its index, for a component that never varies."""
        if self.std is not None:
            p, rows = self.log_scale.value, x.reshape(len(x), -1)
            _, std = channel_statistics("Scaling.initialize", rows, total)
            p[...] = (namespace(std).log(self.std / std) / self.factor).reshape(p.shape)
        return self.forward(x)[0]

    def _logdet(self, x: Array) -> Array:
        log_scale = self.log_scale.value.sum(dtype=namespace(x).float64)
        return zero_logdet(x) + self.factor * log_scale

    def _check(self, where: str, x: Array) -> None:
        s = self.log_scale.value
        if x.shape[1:] != s.shape or x.dtype != s.dtype:
            raise ShapeError(
                f"Scaling.{where}: samples are {s.shape} in {s.dtype}, got {x.shape[1:]} in"
                f" {x.dtype}"
            )
