"""The linear maps of a network: a matrix product, with a bias and a scale per output.

    y = (W^T x + b) * e,  e = exp(3 logs)     without a scale, e = 1

    dx = W (e dy)       dW = x (e dy)^T       db = sum e dy       dlogs = 3 sum y dy

Applied to gathered columns, this is a convolution followed by the original code's ActNorm.
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
from glowlite.conditioners.gather_scatter import gather, outside, scatter


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
        """Return dx, given the input and output of `forward`. y may be the output of a ReLU, if dy
        is 0 where y is 0.
        """
        self.add_scale_gradient((dy * y).sum(axis=1))
        dy = dy * self.scale()[:, None]
        self.bias.grad[...] += dy.sum(axis=1)
        self.weight.grad[...] += x @ dy.T
        return self.weight.value @ dy

    def add_scale_gradient(self, dlog_e: Array) -> None:
        """Convert a gradient with respect to log e, (C,), and add it to that of `logs`; do nothing
        without a scale.
        """
        if self.scaled:
            self.logs.grad[...] += LOGS_FACTOR * dlog_e

    def initialize(self, where: str, x: Array, total: SumOverProcesses = this_process) -> Array:
        """If `scaled`, set bias and scale so that every output has mean 0 and variance 1 for the
        batch x (rows, P).

        Returns y.
        """
        if self.scaled:
            mean, std = channel_statistics(where, (self.weight.value.T @ x).T, total)
            self.bias.value[...] = -mean
            self.logs.value[...] = -namespace(std).log(std + STD_FLOOR) / LOGS_FACTOR
        return self.forward(x)


class ScatterConv(ScaledLinear):
    """A 3x3 convolution as a matrix product followed by a scatter; it starts at zero.

        y = (scatter(W^T h) + B^T outside + b) * e

    A pixel q sends W[k] h[q] to the pixel q + k, for each of the nine taps k. So W[k] here is the
    tap -k of the usual convolution, whose kernel is rotated by 180 degrees. The border channel of
    the original code is 1 outside the image and 0 inside. It sends B[k] from every pixel outside: a
    pixel receives B[k] if the sender, at offset -k, is outside.

    h: (C_in, P), P = N H W -> y: (N, H, W, C_out).

    `weight` (C_in + with_border, 9, C_out), the border channel last; `bias` and, if `scaled`,
    `logs`, (C_out,). All start at zero.
    """

    def __init__(
        self, in_channels: int, out_channels: int, with_border: bool, scaled: bool
    ) -> None:
        super().__init__(np.zeros((in_channels + with_border, 9, out_channels)), scaled)
        self.in_channels = in_channels
        self.with_border = with_border

    def taps(self) -> Array:
        """W, (C_in, 9 C_out)."""
        return self.weight.value[: self.in_channels].reshape(self.in_channels, -1)

    def convolve(self, h: Array, shape: tuple[int, ...]) -> Array:
        """Return y for columns h (C_in, P) and images of `shape` (N, H, W, ...)."""
        _, height, width = shape[:3]
        y = scatter(self.taps().T @ h, shape) + self.bias.value  # (N, H, W, C_out)
        if self.with_border:
            y = y + self._senders(y).T.reshape(1, height, width, 9) @ self.weight.value[-1]
        return y * self.scale()

    def convolve_backward(self, dy: Array, h: Array, y: Array) -> Array:
        """Return dh (C_in, P), given the input and output of `convolve`."""
        self.add_scale_gradient((dy * y).sum(axis=(0, 1, 2)))
        dy = dy * self.scale()
        self.bias.grad[...] += dy.sum(axis=(0, 1, 2))
        if self.with_border:
            self.weight.grad[-1] += self._senders(dy) @ dy.sum(axis=0).reshape(-1, dy.shape[-1])
        dcolumns = gather(dy)  # scatter's gradient, (9 C_out, P)
        self.weight.grad[: self.in_channels] += (h @ dcolumns.T).reshape(self.in_channels, 9, -1)
        return self.taps() @ dcolumns

    def _senders(self, y: Array) -> Array:
        """Return (9, H W): 1 where the pixel at offset -k, which sends through tap k, is outside
        the image.
        """
        _, height, width, _ = y.shape
        return outside(height, width, y.dtype, namespace(y))[::-1]
