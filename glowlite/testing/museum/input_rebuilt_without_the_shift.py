"""A backward pass that rebuilds a wrong input.

It undoes the scale but forgets the shift; its own gradients happen not to need the input.
They are right, but those of all layers before it are computed at the wrong point.
Seen in: memcnn issue 16 (keep_input=False was not tested, and seemed not to work).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "backward_rebuilds_the_input"
SHAPE = (3,)


class Clean:
    """y = e^log_s x + b, (N, D), with log|det| = sum log_s."""

    def __init__(self, log_s: np.ndarray, b: np.ndarray) -> None:
        self.log_s, self.b = Parameter(log_s), Parameter(b)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s, "b": self.b}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logdet = np.full(len(x), self.log_s.value.sum())
        return np.exp(self.log_s.value) * x + self.b.value, logdet

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return (y - self.b.value) * np.exp(-self.log_s.value)

    def rebuilt(self, y: np.ndarray) -> np.ndarray:
        return self.inverse(y)

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.log_s.grad[...] += (dy * (y - self.b.value)).sum(axis=0) + dlogdet.sum()
        self.b.grad[...] += dy.sum(axis=0)
        return self.rebuilt(y), dy * np.exp(self.log_s.value)


class Broken(Clean):
    def rebuilt(self, y: np.ndarray) -> np.ndarray:
        return y * np.exp(-self.log_s.value)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal(3) / 2, rng.standard_normal(3))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
