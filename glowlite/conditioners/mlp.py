r"""MLP: fully connected layers with ReLUs between them, for flows of vectors.

    h_0 = x          h_i = relu(h_{i-1} W_i + b_i)          out = h_n W_last + b_last

W_last and b_last start at zero: a coupling around a new MLP is the identity, or a constant map.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.randomness import generator
from glowlite.conditioners.base import Conditioner
from glowlite.errors import ShapeError


class MLP(Conditioner):
    """x (N, in_features) -> (N, out_features), over hidden layers of the sizes `hidden`.

    seed: of the random weights, N(0, 2 / inputs), so that the size of h is that of x in each layer.
    Cost: one product a layer in `forward`, two in `backward`.
    """

    def __init__(
        self, in_features: int, out_features: int, hidden: Sequence[int] = (64, 64), seed: int = 0
    ) -> None:
        sizes, rng = [in_features, *hidden, out_features], generator(seed, "mlp")
        shapes = list(pairwise(sizes))
        weights = [rng.standard_normal((m, n)) * np.sqrt(2 / m) for m, n in shapes]
        weights[-1][...] = 0
        self.width = max(sizes)
        self.weights = [Parameter(weight) for weight in weights]
        self.biases = [Parameter(np.zeros(n)) for _, n in shapes]

    def forward(self, x: Array) -> tuple[Array, list[Array]]:
        """out (N, out_features), and the inputs of all layers, which `backward` takes."""
        features = len(self.weights[0].value)
        if x.ndim != 2 or x.shape[1] != features:
            raise ShapeError(f"MLP.forward: expected vectors (N, {features}), got {tuple(x.shape)}")
        inputs = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            inputs.append(x)
            x = x @ weight.value + bias.value
            if weight is not self.weights[-1]:
                x = namespace(x).maximum(x, 0)
        return x, inputs

    def backward(self, dh: Array, cache: list[Array]) -> Array:
        """dx (N, in_features); gradients of weights and biases are added."""
        for weight, bias, x in reversed(list(zip(self.weights, self.biases, cache, strict=True))):
            weight.grad[...] += x.T @ dh
            bias.grad[...] += dh.sum(axis=0)
            dh = dh @ weight.value.T
            if weight is not self.weights[0]:
                dh = dh * (x > 0)  # x = relu(...) here, whose derivative is 1 where it is positive
        return dh
