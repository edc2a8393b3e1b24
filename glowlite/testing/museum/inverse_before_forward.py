"""An inverse that needs a forward pass before it.

The inverse uses the mean and variance of the last forward pass instead of the layer's own.
Training always begins with a forward pass; a loaded model that only draws samples does not.
Seen in: pytorch-flows issue 8 (BatchNormFlow has no attribute batch_mean), INNLab issue 17.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Buffer, Parameter

LAW = "inverse_needs_no_forward"
SHAPE = (3,)


class Clean:
    """y = (x - mean) / sqrt(variance) e^log_s + b, (N, D), with running statistics, which are two
    buffers.

    `train(x)` moves them towards those of a batch; forward and inverse do not change them.
    """

    def __init__(self, log_s: np.ndarray, b: np.ndarray) -> None:
        self.log_s, self.b = Parameter(log_s), Parameter(b)
        self.mean, self.variance = Buffer(np.zeros(len(b))), Buffer(np.ones(len(b)))

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s, "b": self.b}

    def saved(self) -> dict[str, Parameter | Buffer]:
        return {"log_s": self.log_s, "b": self.b, "mean": self.mean, "variance": self.variance}

    def state(self) -> dict[str, np.ndarray]:
        return {name: part.value.copy() for name, part in self.saved().items()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        for name, part in self.saved().items():
            part.value[...] = state[name]

    def train(self, x: np.ndarray) -> None:
        self.mean.value += 0.5 * (x.mean(axis=0) - self.mean.value)
        self.variance.value += 0.5 * (x.var(axis=0) - self.variance.value)

    def affine(self, forward: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return a and c of y = a x + c."""
        a = np.exp(self.log_s.value) / np.sqrt(self.variance.value)
        return a, self.b.value - a * self.mean.value

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, c = self.affine(forward=True)
        return a * x + c, np.full(len(x), np.log(a).sum())

    def inverse(self, y: np.ndarray) -> np.ndarray:
        a, c = self.affine()
        return (y - c) / a

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.b.grad[...] += dy.sum(axis=0)
        self.log_s.grad[...] += (dy * (y - self.b.value)).sum(axis=0) + dlogdet.sum()
        return self.inverse(y), dy * self.affine()[0]


class Broken(Clean):
    def affine(self, forward: bool = False) -> tuple[np.ndarray, np.ndarray]:
        if forward:
            self.last = super().affine()
        return self.last


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    layer = kind(rng.standard_normal(3) / 2, rng.standard_normal(3))
    layer.train(rng.standard_normal((8, 3)) * [0.5, 1.0, 3.0] + rng.standard_normal(3))
    return layer


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
