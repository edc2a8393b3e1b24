r"""Batch normalisation as a layer of a flow (RealNVP, section 3.7): each channel is normalised with
its mean m and variance v.

    y = (x - m) / sqrt(v + eps)     x = y sqrt(v + eps) + m     log|det| = -1/2 sum log(v + eps)

where the sum is over the changed values. In evaluation, m and v are running statistics, which are
constants, and the layer is like any other. In training, they are the statistics of the batch. Then
the log-determinant is that of the map with m and v held fixed, as in all RealNVP codes, not that of
the map of whole batches; a sample's y depends on the other samples; and `backward` needs the cache
of `forward_with_cache`, since m and v cannot be recovered from y. Gradients are exact: they go
through m and v, both in y and in log|det|.
"""

from __future__ import annotations

from glowlite.arrays.arguments import real_number
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.batch_statistics import BatchStatistics
from glowlite.arrays.checks import check_channels, check_half
from glowlite.arrays.layout import positions
from glowlite.arrays.statistics import SumOverProcesses, channel_statistics, this_process
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import GlowliteError

CHANGED, COUNTED = ("first", "second", "all"), ("changed", "zeros", "both")


class BatchNorm(Bijector):
    """x, y: (N, H, W, C) or (N, C). No parameters.

    `changed`: which half of the channels is normalised, `first` or `second`, or `all`. `counted`:
    the values from which m and v are computed.

        changed   those that are normalised
        zeros     those, and a zero for each of the kept half: the released code's checkerboards
        both      all: channel c of either half is one channel, as the colours of a checkerboard are

    `unbiased`: which batch variance the running variance follows, see BatchStatistics.
    """

    def __init__(
        self,
        channels: int,
        changed: str = "all",
        counted: str = "changed",
        eps: float = 1e-4,
        unbiased: bool = False,
    ) -> None:
        no_zeros = changed == "all" and counted == "zeros"
        if changed not in CHANGED or counted not in COUNTED or no_zeros:
            raise GlowliteError(
                f"BatchNorm: changed must be one of {', '.join(CHANGED)}, and counted one of"
                f" {', '.join(COUNTED)}, and not zeros together with all; got {changed!r} and"
                f" {counted!r}"
            )
        alone = (changed, counted) == ("all", "changed")
        if not alone:
            check_half("BatchNorm", channels)
        size = channels if alone else channels // 2
        parts = {"first": [slice(0, size)], "second": [slice(size, channels)]}
        both = [slice(start, start + size) for start in range(0, channels, size)]
        self.channels, self.counts_zeros = channels, counted == "zeros"
        self.eps = real_number("BatchNorm", "eps", eps)
        self.changed = parts.get(changed, both)  # the changed channels, as slices
        self.counted = both if counted == "both" else self.changed
        self.statistics = BatchStatistics(size, unbiased=unbiased)

    @property
    def needs_cache(self) -> bool:
        return self.statistics.is_training

    def counted_values(self, x: Array) -> Array:
        """Return the values from which m and v are computed, (..., C/2) or (..., C)."""
        parts = [x[..., part] for part in self.counted]
        if self.counts_zeros:
            parts.append(namespace(x).zeros_like(parts[0]))
        return parts[0] if len(parts) == 1 else namespace(x).concatenate(parts)

    def forward(self, x: Array) -> tuple[Array, Array]:
        y, logdet, _ = self.forward_with_cache(x)
        return y, logdet

    def forward_with_cache(self, x: Array) -> tuple[Array, Array, Cache]:
        """Return y, log|det|, and m and v as the cache; x itself is rebuilt."""
        check_channels("BatchNorm.forward", x, self.channels, self.statistics.mean.value.dtype)
        xp, (mean, variance) = namespace(x), self.statistics.of(self.counted_values(x))
        y, deviation = xp.array(x), self.deviation(variance)
        for part in self.changed:
            y[..., part] = (x[..., part] - mean) / deviation
        values = len(self.changed) * positions(x)  # values per channel of m and v, in one sample
        log_scale = -values * xp.log(deviation).sum(dtype=xp.float64)
        return y, zero_logdet(x) + log_scale, (mean, variance)

    def inverse(self, y: Array) -> Array:
        """Return x, using the running statistics, also in training."""
        return self.rebuilt(y, self.statistics.mean.value, self.statistics.variance.value)

    def rebuilt(self, y: Array, mean: Array, variance: Array) -> Array:
        x, deviation = namespace(y).array(y), self.deviation(variance)
        for part in self.changed:
            x[..., part] = y[..., part] * deviation + mean
        return x

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        """Raises GlowliteError in training without a cache."""
        if cache is None and self.needs_cache:
            raise GlowliteError(
                "BatchNorm.backward: in training, the batch statistics cannot be recovered from"
                " y; give the cache of forward_with_cache"
            )
        mean, variance = self.statistics.of(y) if cache is None else cache
        deviation, axes = self.deviation(variance), tuple(range(y.ndim - 1))
        x, dx = self.rebuilt(y, mean, variance), namespace(dy).array(dy)
        for part in self.changed:
            dx[..., part] = dy[..., part] / deviation
        if not self.statistics.is_training:
            return x, dx
        # m:  dm = -sum dy_i / sqrt(v + eps), over the changed values i of its channel
        # v:  dv = -1/2 (sum dy_i y_i + sum_i dlogdet) / (v + eps)
        # of M counted values j:  dm/dx_j = 1/M,  dv/dx_j = 2 (x_j - m) / M,  and so, with
        # u_j = (x_j - m) / sqrt(v + eps), which is y_j where it is changed,
        # dx_j = ... - (sum dy_i + u_j (sum dy_i y_i + sum_i dlogdet)) / (M sqrt(v + eps))
        values = positions(y) * len(self.changed)  # per sample and channel of m
        count = len(y) * positions(y) * (len(self.counted) + self.counts_zeros)
        dy_sum = sum(dy[..., part].sum(axis=axes) for part in self.changed)
        dy_y_sum = sum((dy[..., part] * y[..., part]).sum(axis=axes) for part in self.changed)
        dy_y_sum = dy_y_sum + (values * dlogdet.sum()).astype(y.dtype)
        for part in self.counted:
            u = (x[..., part] - mean) / deviation
            dx[..., part] -= (dy_sum + u * dy_y_sum) / (count * deviation)
        self.statistics.follow(mean, variance, count)
        return x, dx

    def deviation(self, variance: Array) -> Array:
        """Return sqrt(v + eps), (C/2,) or (C,)."""
        return namespace(variance).sqrt(variance + self.eps)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Set the running statistics from the batch x; return y, computed with them."""
        mean, std = channel_statistics("BatchNorm.initialize", self.counted_values(x), total)
        self.statistics.start_from(mean, std**2)
        return self.forward(x)[0]
