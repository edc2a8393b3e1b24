"""A matrix with a bias and a scale for every output, folded into one product.

    y = (x W + b) * e,  e = exp(3 logs)     is     y = x W' + b',  W' = W e,  b' = b e

This is a hidden convolution followed by the original code's ActNorm, and its last convolution, too. Without a scale,
e = 1. The gradients follow from those of the folded form alone:

    dW = dW' e        db = db' e        dlogs = 3 (sum_rows dW' W' + db' b')
"""

from __future__ import annotations

from typing import Self

import numpy as np

from glowlite.backend import Array, namespace
from glowlite.bijectors.actnorm import LOGS_FACTOR, STD_FLOOR, channel_statistics
from glowlite.parameters import Parameter, Parameterized


class ScaledLinear(Parameterized):
    """`weight` (rows, ..., C), `bias` (C,) and, if `scaled`, `logs` (C,); the last axis is the output channel."""

    def __init__(self, weight: np.ndarray, scaled: bool) -> None:
        self.weight = Parameter(weight)
        self.bias = Parameter(np.zeros(weight.shape[-1]))
        if scaled:
            self.logs = Parameter(np.zeros(weight.shape[-1]))
        self.scaled = scaled

    def folded(self) -> tuple[Array, Array]:
        """W' in the shape of `weight`, and b' (C,)."""
        if not self.scaled:
            return self.weight.value, self.bias.value
        e = namespace(self.logs.value).exp(LOGS_FACTOR * self.logs.value)
        return self.weight.value * e, self.bias.value * e

    def add_gradients(self, dW: Array, db: Array) -> None:
        """Add what gradients of W' (shape of `weight`) and b' (C,) mean for the parameters."""
        if not self.scaled:
            self.weight.grad[...] += dW
            self.bias.grad[...] += db
            return
        xp = namespace(dW)
        e = xp.exp(LOGS_FACTOR * self.logs.value)
        dW_e, db_e = dW * e, db * e
        self.weight.grad[...] += dW_e
        self.bias.grad[...] += db_e
        rows = tuple(range(dW.ndim - 1))
        self.logs.grad[...] += LOGS_FACTOR * ((dW_e * self.weight.value).sum(axis=rows) + db_e * self.bias.value)

    def prepared(self) -> Self:
        """The same map without a scale: its weight is W', its bias b'."""
        if not self.scaled:
            return self
        twin = self.shallow_copy()
        W, b = self.folded()
        twin.scaled = False
        twin.weight, twin.bias = Parameter(W), Parameter(b)
        del twin.logs
        return twin

    def collect_into(self, original: Parameterized) -> None:
        assert isinstance(original, ScaledLinear)
        original.add_gradients(self.weight.grad, self.bias.grad)

    def initialize(self, where: str, x: Array) -> None:
        """Zero mean and unit variance for every output over the rows of `x` (P, rows): the ActNorm of this layer."""
        if self.scaled:
            mean, std = channel_statistics(where, x @ self.weight.value)
            self.bias.value[...] = -mean
            self.logs.value[...] = -namespace(std).log(std + STD_FLOOR) / LOGS_FACTOR
