r"""Batch normalisation inside a network: each channel is normalised with its mean m and variance v.

    u = (x - m) / sqrt(v + eps)          y = gain u + bias

In training, m and v are the statistics of the batch; in evaluation, they are running statistics,
which are constants: see `BatchStatistics`. Batch normalisation as a layer of a flow is another
class, in `glowlite.bijectors.batch_norm`.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.arguments import real_number
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.batch_statistics import BatchStatistics
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import SumOverProcesses, channel_statistics, this_process
from glowlite.conditioners.base import Cache, Conditioner


class NetworkBatchNorm(Conditioner):
    """x, y: (N, H, W, C).

    `gain`: whether there is a gain. `unbiased`: which batch variance the running variance follows,
    see BatchStatistics. Parameters: `bias` and `gain`, (C,), which start at 0 and 1. Raises
    GlowliteError for an `eps` below 0.
    """

    def __init__(
        self, channels: int, eps: float = 1e-4, gain: bool = False, unbiased: bool = False
    ) -> None:
        self.statistics = BatchStatistics(channels, unbiased=unbiased)
        self.eps = real_number("NetworkBatchNorm", "eps", eps)
        self.gain = Parameter(np.ones(channels)) if gain else None
        self.bias = Parameter(np.zeros(channels))

    def forward(self, x: Array) -> tuple[Array, Cache]:
        mean, variance = self.statistics.of(x)
        u = (x - mean) / self.deviation(variance)
        scaled = u if self.gain is None else u * self.gain.value
        return scaled + self.bias.value, (u, mean, variance)

    def backward(self, dy: Array, cache: Cache) -> Array:
        u, mean, variance = cache
        axes = tuple(range(dy.ndim - 1))
        dy_sum, dy_u_sum = dy.sum(axis=axes), (dy * u).sum(axis=axes)
        self.add_gradients(dy_sum, dy_u_sum)
        slope = self.slope(variance)
        if not self.statistics.is_training:
            return dy * slope
        # m and v depend on every x_i, of which a channel has M: dm/dx_i = 1/M,  dv/dx_i = 2 (x_i -
        # m)/M, so du_j/dx_i = (delta_ij - 1/M - u_i u_j / M) / sqrt(v + eps)
        count = dy.size // dy.shape[-1]
        self.statistics.follow(mean, variance, count)
        return (dy - dy_sum / count - u * (dy_u_sum / count)) * slope

    def add_gradients(self, dy_sum: Array, dy_u_sum: Array) -> None:
        """Add the sums of dy and of dy u, (C,), to the gradients."""
        self.bias.grad[...] += dy_sum
        if self.gain is not None:
            self.gain.grad[...] += dy_u_sum

    def deviation(self, variance: Array) -> Array:
        """sqrt(v + eps), (C,)."""
        return namespace(variance).sqrt(variance + self.eps)

    def slope(self, variance: Array) -> Array:
        """Return dy/dx if m and v were constants: gain / sqrt(v + eps), (C,)."""
        deviation = self.deviation(variance)
        return 1 / deviation if self.gain is None else self.gain.value / deviation

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Set the running statistics from the batch x. Returns y."""
        mean, std = channel_statistics("NetworkBatchNorm.initialize", x, total)
        self.statistics.start_from(mean, std**2)
        return self.forward(x)[0]
