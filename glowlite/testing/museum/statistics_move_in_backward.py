"""Running statistics that move whenever the layer is called backwards.

The backward pass runs the layer again to rebuild its input, which counts as another batch.
Every value is plausible; it shows only if the same is computed before and after a gradient.
Seen in: memcnn issue 12 (batch normalisation while the input is reconstructed).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Buffer, Parameter

LAW = "calls_leave_no_trace"
SHAPE = (3,)


class Clean:
    """y = x - mean + b, (N, D), with a running mean, which `train(x)` moves; log|det| = 0."""

    def __init__(self, b: np.ndarray) -> None:
        self.b, self.mean = Parameter(b), Buffer(np.zeros(len(b)))

    def parameters(self) -> dict[str, Parameter]:
        return {"b": self.b}

    def state(self) -> dict[str, np.ndarray]:
        return {"b": self.b.value.copy(), "mean": self.mean.value.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.b.value[...], self.mean.value[...] = state["b"], state["mean"]

    def train(self, x: np.ndarray) -> None:
        self.mean.value += 0.1 * (x.mean(axis=0) - self.mean.value)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x - self.mean.value + self.b.value, np.zeros(len(x))

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y - self.b.value + self.mean.value

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.b.grad[...] += dy.sum(axis=0)
        return self.inverse(y), dy.copy()


class Broken(Clean):
    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, dx = super().backward(y, dy, dlogdet)
        self.train(x)
        return x, dx


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    layer = kind(rng.standard_normal(3))
    layer.train(rng.standard_normal((8, 3)) + 3)
    return layer


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
