r"""The last layer of NICE: every component of a sample has a scale of its own.

y_i = e^{s_i} x_i          x_i = e^{-s_i} y_i          log|det| = sum_i s_i
"""

from __future__ import annotations

import math

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import SumOverProcesses, channel_statistics, this_process
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import ShapeError


class Scaling(Bijector):
    """x, y: (N, ...), where `shape` is that of one sample, such as (D,) or (H, W, C).

    Parameter: `log_scale`, of that shape, which starts at zero; with `std`, `initialize` sets it so
    that every component of the batch it sees has this standard deviation. (At a rate of 1e-3 Adam
    moves a log-scale by one nat in a thousand steps, and NICE ends with four to seven of them.)
    Cost: O(N D) for D components.
    """

    def __init__(self, shape: tuple[int, ...], std: float | None = None) -> None:
        self.log_scale = Parameter(np.zeros(shape))
        self.std = std

    def forward(self, x: Array) -> tuple[Array, Array]:
        self._check("forward", x)
        s = self.log_scale.value
        return x * namespace(s).exp(s), self._logdet(x)

    def inverse(self, y: Array) -> Array:
        self._check("inverse", y)
        s = self.log_scale.value
        return y * namespace(s).exp(-s)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        # dx_i = e^{s_i} dy_i;  y_i depends on s_i by dy_i/ds_i = y_i, and log|det| by 1:
        # ds_i = sum_n (dy_i y_i + dlogdet)
        x, s = self.inverse(y) if cache is None else cache, self.log_scale.value
        self.log_scale.grad[...] += (dy * y).sum(axis=0) + dlogdet.sum().astype(y.dtype)
        return x, dy * namespace(s).exp(s)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Raises GlowliteError, by number, for a component that never varies."""
        if self.std is not None:
            s = self.log_scale.value
            rows = x.reshape(len(x), -1)
            _, std = channel_statistics("Scaling.initialize", rows, total)
            s[...] = (math.log(self.std) - namespace(std).log(std)).reshape(s.shape)
        return self.forward(x)[0]

    def _logdet(self, x: Array) -> Array:
        return zero_logdet(x) + self.log_scale.value.sum(dtype=namespace(x).float64)

    def _check(self, where: str, x: Array) -> None:
        s = self.log_scale.value
        if x.shape[1:] != s.shape or x.dtype != s.dtype:
            raise ShapeError(
                f"Scaling.{where}: samples are {s.shape} in {s.dtype}, got {x.shape[1:]} in"
                f" {x.dtype}"
            )
