"""Running statistics that are lost on saving.

Mean and variance are not parameters, so saving only the parameters loses them.
The layer loads without an error, with mean 0 and variance 1, and is only somewhat worse.
Of a kind that is seen in torch/nn issue 1165 (only the parameters are saved), not a flow.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Buffer, Parameter

LAW = "state_survives_saving"
SHAPE = (2, 2, 3)


class Clean:
    """y = (x - mean) / sqrt(variance) + b, per channel, (N, H, W, C), with running statistics.

    `train(x)` moves the two buffers towards mean and variance of a batch; no other method does.
    """

    def __init__(self, b: np.ndarray) -> None:
        self.b = Parameter(b)
        self.mean, self.variance = Buffer(np.zeros(len(b))), Buffer(np.ones(len(b)))

    def parameters(self) -> dict[str, Parameter]:
        return {"b": self.b}

    def state(self) -> dict[str, np.ndarray]:
        buffers = {"mean": self.mean.value.copy(), "variance": self.variance.value.copy()}
        return {"b": self.b.value.copy()} | buffers

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.b.value[...] = state["b"]
        self.mean.value[...] = state.get("mean", 0.0)  # like a new layer
        self.variance.value[...] = state.get("variance", 1.0)

    def train(self, x: np.ndarray) -> None:
        self.mean.value += 0.5 * (x.mean(axis=(0, 1, 2)) - self.mean.value)
        self.variance.value += 0.5 * (x.var(axis=(0, 1, 2)) - self.variance.value)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = (x - self.mean.value) / np.sqrt(self.variance.value) + self.b.value
        pixels = x.shape[1] * x.shape[2]
        return y, np.full(len(x), -pixels * np.log(self.variance.value).sum() / 2)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return (y - self.b.value) * np.sqrt(self.variance.value) + self.mean.value

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.b.grad[...] += dy.sum(axis=(0, 1, 2))
        return self.inverse(y), dy / np.sqrt(self.variance.value)


class Broken(Clean):
    def state(self) -> dict[str, np.ndarray]:
        return {"b": self.b.value.copy()}


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    layer = kind(rng.standard_normal(3))
    layer.train(2 * rng.standard_normal((4, 2, 2, 3)) + rng.standard_normal(3))
    return layer


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
