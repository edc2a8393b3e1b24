r"""A linear classifier of images. Its input is all components or, as for the top latents in the
original code, the means over pixels.

f_n = x_n, or (1 / HW) sum_hw x_nhw       logits_n = W^T f_n + b       q(k | x_n) = softmax_k
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.labels import one_hot
from glowlite.arrays.parameters import Parameter
from glowlite.conditioners.base import Cache, Conditioner


class Classifier(Conditioner):
    """x: (N, H, W, C) -> logits (N, K), K = `classes`.

    pixels: H W, for a classifier of all components; None for one of means. `weight` (F, K), F = H W
    C or C, and `bias` (K,) start at zero: all classes are equally probable, and x gets no gradient
    until the weights have changed.
    """

    def __init__(self, channels: int, classes: int, pixels: int | None = None) -> None:
        self.pixels = pixels
        self.weight = Parameter(np.zeros((channels * (pixels or 1), classes)))
        self.bias = Parameter(np.zeros(classes))

    def forward(self, x: Array) -> tuple[Array, Cache]:
        features = x.mean(axis=(1, 2)) if self.pixels is None else x.reshape(len(x), -1)
        return features @ self.weight.value + self.bias.value, (features, x.shape)

    def backward(self, dh: Array, cache: Cache) -> Array:
        features, shape = cache
        self.weight.grad[...] += features.T @ dh
        self.bias.grad[...] += dh.sum(axis=0)
        dfeatures = dh @ self.weight.value.T  # (N, F)
        if self.pixels is not None:
            return dfeatures.reshape(shape)
        # each of the HW pixels contributes 1 / HW of the mean
        dfeatures = dfeatures / (shape[1] * shape[2])
        return namespace(dh).broadcast_to(dfeatures[:, None, None], shape)


def cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return -log q(label | x) for logits (N, K), nats, (N,), and its derivative with respect to
    the logits, (N, K).

    The largest logit is subtracted first, so that no exponential overflows.
    """
    xp = namespace(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = xp.exp(shifted).sum(axis=1, keepdims=True)
    chosen = one_hot(labels, logits.shape[1], logits.dtype)
    # -log q_y = log sum_k e^{a_k} - a_y, so d / d a_k = q_k - (k = y)
    return xp.log(total)[:, 0] - (shifted * chosen).sum(axis=1), xp.exp(shifted) / total - chosen
