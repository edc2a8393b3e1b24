"""A matrix with a bias and a scale per output: a convolution followed by the original code's ActNorm.

y = (W^T x + b) * e,  e = exp(3 logs)     without a scale, e = 1

dx = W (e dy)       dW = x (e dy)^T       db = sum e dy       dlogs = 3 sum y dy
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameter, Parameterized
from glowlite.arrays.statistics import (
    LOGS_FACTOR,
    STD_FLOOR,
    SumOverProcesses,
    channel_statistics,
    this_process,
)


class ScaledLinear(Parameterized):
    """x: (rows, P) -> y: (C, P), column by column.

    `weight` (rows, C), `bias` (C,) and, if `scaled`, `logs` (C,).
    """

    def __init__(self, weight: np.ndarray, scaled: bool) -> None:
        self.weight = Parameter(weight)
        self.bias = Parameter(np.zeros(weight.shape[-1]))
        if scaled:
            self.logs = Parameter(np.zeros(weight.shape[-1]))
        self.scaled = scaled

    def scale(self) -> Array:
        """e, (C,)."""
        xp = namespace(self.bias.value)
        if not self.scaled:
            return xp.ones_like(self.bias.value)
        return xp.exp(LOGS_FACTOR * self.logs.value)

    def forward(self, x: Array) -> Array:
        y = self.weight.value.T @ x
        y += self.bias.value[:, None]
        y *= self.scale()[:, None]
        return y

    def backward(self, dy: Array, x: Array, y: Array) -> Array:
        """dx, from what `forward` took and gave; y may be behind a ReLU, if dy is 0 where y is."""
        self.add_scale_gradient((dy * y).sum(axis=1))
        dy = dy * self.scale()[:, None]
        self.bias.grad[...] += dy.sum(axis=1)
        self.weight.grad[...] += x @ dy.T
        return self.weight.value @ dy

    def add_scale_gradient(self, dlog_e: Array) -> None:
        """Add what a gradient of log e, (C,), means for `logs`; nothing without a scale."""
        if self.scaled:
            self.logs.grad[...] += LOGS_FACTOR * dlog_e

    def initialize(self, where: str, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Mean 0 and variance 1 for every output of the batch x (rows, P), if `scaled`; returns y."""
        if self.scaled:
            mean, std = channel_statistics(where, (self.weight.value.T @ x).T, total)
            self.bias.value[...] = -mean
            self.logs.value[...] = -namespace(std).log(std + STD_FLOOR) / LOGS_FACTOR
        return self.forward(x)
