"""A batch normalisation and its ReLU on blocks of columns that run in parallel.

    z = relu(gain u + bias),  u = (h - m) / sqrt(v + eps)          h, z: (C, P), block by block

m and v are those of all columns, so all blocks must synchronise before the next product: each
contributes its own mean and sum of squares, which are combined in the order of the blocks. In the
backward pass, each contributes two sums in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.arrays.slices import in_order
from glowlite.conditioners.batch_norm import NetworkBatchNorm

Moments = tuple[int, Array, Array]  # of some columns: their number, mean, and sum of (h - mean)^2
Sums = tuple[Array, Array]  # of some columns: of dy, and of dy u, (C,)


def moments(h: Array) -> Moments:
    """Return the moments of columns h (C, p)."""
    mean = h.mean(axis=1)
    centred = h - mean[:, None]
    return h.shape[1], mean, np.vecdot(centred, centred)


def together(parts: Sequence[Moments]) -> tuple[Array, Array]:
    """Return mean and variance of all columns."""
    count = sum(n for n, _, _ in parts)
    mean = in_order(tuple(m * (n / count) for n, m, _ in parts))
    # sum (h - mean)^2 = sum (h - m_i)^2 + n_i (m_i - mean)^2, over the columns of part i
    squares = in_order(tuple(square + n * (m - mean) ** 2 for n, m, square in parts))
    return mean, squares / count


class Activation:
    """relu(norm(h)), where `parts` has the moments of h, in training; or relu(h), without a norm.

    `count`: number of columns of all blocks.
    """

    def __init__(
        self, norm: NetworkBatchNorm | None, parts: Sequence[Moments | None], count: int
    ) -> None:
        self.norm, self.count = norm, count
        if norm is not None:
            known, running = [part for part in parts if part is not None], norm.statistics
            self.mean, self.variance = (
                together(known) if known else (running.mean.value, running.variance.value)
            )
            self.per_deviation = 1 / norm.deviation(self.variance)[:, None]

    def normal(self, h: Array) -> Array:
        """Return u of a block; without a norm, h itself."""
        if self.norm is None:
            return h
        u = h - self.mean[:, None]
        u *= self.per_deviation
        return u

    def behind(self, u: Array) -> Array:
        """Return z of a block."""
        if self.norm is None:
            return np.maximum(u, 0)
        bias, gain = self.norm.bias.value[:, None], self.norm.gain
        y = u + bias if gain is None else u * gain.value[:, None]
        if gain is not None:
            y += bias
        return np.maximum(y, 0, out=y)

    def sums(self, dy: Array, u: Array) -> Sums | None:
        """Return what a block contributes in the backward pass, with dy before the ReLU."""
        return None if self.norm is None else (dy.sum(axis=1), np.vecdot(dy, u))

    def meet(self, parts: Sequence[Sums | None]) -> None:
        """Add the gradients of the norm, and update its running statistics."""
        if self.norm is None:
            return
        known = [part for part in parts if part is not None]
        self.dy_sum, self.dy_u_sum = (in_order(each) for each in zip(*known, strict=True))
        self.norm.add_gradients(self.dy_sum, self.dy_u_sum)
        self.norm.statistics.follow(self.mean, self.variance, self.count)

    def backward(self, dy: Array, h: Array) -> Array:
        """Return dh of a block, in the memory of dy, after all blocks have contributed; see
        NetworkBatchNorm.
        """
        if self.norm is None:
            return dy
        if self.norm.statistics.is_training:
            u = self.normal(h)
            u *= (self.dy_u_sum / self.count)[:, None]
            dy -= u
            dy -= (self.dy_sum / self.count)[:, None]
        dy *= self.norm.slope(self.variance)[:, None]
        return dy
