"""A matrix with a bias and a scale for every output: a convolution followed by the original code's ActNorm.

    y = (x W + b) * e,  e = exp(3 logs)     without a scale, e = 1

Whoever uses it decides what e is multiplied with: the weights, the output, or the next layer's weights, whichever is the
smallest. Wherever a product with e is in the way of the gradient, dlogs = 3 sum d(A e) * (A e), over all but the channel.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameter, Parameterized
from glowlite.arrays.statistics import LOGS_FACTOR, STD_FLOOR, Total, channel_statistics, of_one


class ScaledLinear(Parameterized):
    """`weight` (rows, ..., C), `bias` (C,) and, if `scaled`, `logs` (C,); the last axis is the output channel."""

    def __init__(self, weight: np.ndarray, scaled: bool) -> None:
        self.weight = Parameter(weight)
        self.bias = Parameter(np.zeros(weight.shape[-1]))
        if scaled:
            self.logs = Parameter(np.zeros(weight.shape[-1]))
        self.scaled = scaled

    def scale(self) -> Array:
        """e, (C,)."""
        xp = namespace(self.bias.value)
        return xp.exp(LOGS_FACTOR * self.logs.value) if self.scaled else xp.ones_like(self.bias.value)

    def add_scale_gradient(self, dlog_e: Array) -> None:
        """Add what a gradient of log e, (C,), means for `logs`; nothing without a scale."""
        if self.scaled:
            self.logs.grad[...] += LOGS_FACTOR * dlog_e

    def reset(self) -> None:
        """y = x W, if `scaled`."""
        if self.scaled:
            self.bias.value[...] = 0
            self.logs.value[...] = 0

    def initialize(self, where: str, y: Array, total: Total = of_one) -> None:
        """Zero mean and unit variance for every output, from the outputs y (P, C) of x W alone: this layer's ActNorm."""
        if self.scaled:
            mean, std = channel_statistics(where, y, total)
            self.bias.value[...] = -mean
            self.logs.value[...] = -namespace(std).log(std + STD_FLOOR) / LOGS_FACTOR
