r"""MLP: fully connected layers with ReLUs between them, for flows of vectors.

    h_0 = x          h_i = max(a_i, slope a_i),   a_i = h_{i-1} W_i + b_i
    out = h_n W_last + b_last

A ReLU has slope 0; a leaky ReLU, with another slope, has a gradient on both sides. W_last and
b_last start at zero, so a coupling with a new MLP is the identity, or a constant map.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from glowlite.arrays.arguments import real_number
from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.randomness import generator
from glowlite.conditioners.base import Conditioner
from glowlite.errors import ShapeError


class MLP(Conditioner):
    """x (N, in_features) -> (N, out_features), with hidden layers of the sizes `hidden`.

    seed: seed of the random weights, N(0, 2 / (inputs (1 + slope^2))), which preserve the size of h
    from layer to layer. slope: slope of the activation below 0, from 0 to 1; raises GlowliteError
    for others. Cost: one matrix product per layer in `forward`, two in `backward`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (64, 64),
        seed: int = 0,
        slope: float = 0.0,
    ) -> None:
        self.slope = real_number("MLP", "slope", slope, 0, 1)
        sizes, rng = [in_features, *hidden, out_features], generator(seed, "mlp")
        shapes = list(pairwise(sizes))
        gain = 2 / (1 + self.slope**2)
        weights = [rng.standard_normal((m, n)) * np.sqrt(gain / m) for m, n in shapes]
        weights[-1][...] = 0
        self.width = max(sizes)
        self.weights = [Parameter(weight) for weight in weights]
        self.biases = [Parameter(np.zeros(n)) for _, n in shapes]

    def forward(self, x: Array) -> tuple[Array, list[Array]]:
        """Return out (N, out_features), and the inputs of all layers, which `backward` needs."""
        features = len(self.weights[0].value)
        if x.ndim != 2 or x.shape[1] != features:
            raise ShapeError(f"MLP.forward: expected vectors (N, {features}), got {tuple(x.shape)}")
        inputs = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            inputs.append(x)
            x = x @ weight.value + bias.value
            if weight is not self.weights[-1]:
                x = namespace(x).maximum(x, self.slope * x if self.slope else 0)
        return x, inputs

    def backward(self, dh: Array, cache: list[Array]) -> Array:
        """Return dx (N, in_features); gradients of weights and biases are added."""
        for weight, bias, x in reversed(list(zip(self.weights, self.biases, cache, strict=True))):
            weight.grad[...] += x.T @ dh
            bias.grad[...] += dh.sum(axis=0)
            dh = dh @ weight.value.T
            if weight is not self.weights[0]:
                # x = max(a, slope a) here has the sign of a, and dx/da = 1 where a > 0, else slope
                dh = namespace(x).where(x > 0, dh, self.slope * dh)
        return dh
