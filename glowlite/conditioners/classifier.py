r"""A linear classifier of the mean over pixels, as the original code has it on the top latents.

m_n = (1 / HW) sum_hw x_nhw            logits_n = W^T m_n + b           q(k | x_n) = softmax_k
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.labels import one_hot
from glowlite.arrays.parameters import Parameter
from glowlite.conditioners.base import Cache, Conditioner


class Classifier(Conditioner):
    """x: (N, H, W, C) -> logits (N, K), K = `classes`.

    `weight` (C, K) and `bias` (K,) start at zero: every class is as probable, and no gradient comes
    to x before the weights have one themselves.
    """

    def __init__(self, channels: int, classes: int) -> None:
        self.weight = Parameter(np.zeros((channels, classes)))
        self.bias = Parameter(np.zeros(classes))

    def forward(self, x: Array) -> tuple[Array, Cache]:
        mean = x.mean(axis=(1, 2))  # (N, C)
        return mean @ self.weight.value + self.bias.value, (mean, x.shape)

    def backward(self, dh: Array, cache: Cache) -> Array:
        mean, shape = cache
        self.weight.grad[...] += mean.T @ dh
        self.bias.grad[...] += dh.sum(axis=0)
        # each of the HW pixels has 1 / HW of the mean
        dmean = dh @ self.weight.value.T / (shape[1] * shape[2])  # (N, C)
        return namespace(dh).broadcast_to(dmean[:, None, None], shape)


def cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """-log q(label | x) of logits (N, K), nats, (N,), and its derivative by the logits, (N, K).

    The logits are taken relative to their largest, so that no exponential overflows.
    """
    xp = namespace(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = xp.exp(shifted).sum(axis=1, keepdims=True)
    chosen = one_hot(labels, logits.shape[1], logits.dtype)
    # -log q_y = log sum_k e^{a_k} - a_y, so d / d a_k = q_k - (k = y)
    return xp.log(total)[:, 0] - (shifted * chosen).sum(axis=1), xp.exp(shifted) / total - chosen
