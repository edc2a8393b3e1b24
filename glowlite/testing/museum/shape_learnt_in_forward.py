"""An inverse that knows its shape only after a forward pass.

Forward stores the shape of x, and inverse reads it to restore that shape.
Every test runs forward first; a model that was loaded to draw samples starts with the inverse.
Of a kind that every layer invites that reshapes: a squeeze, a flattening, a split of the sides.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "inverse_needs_no_forward"
SHAPE = (2, 3)


class Clean:
    """y = (e^log_s x) flattened, (N, H, W) -> (N, H W), with log|det| = sum log_s."""

    def __init__(self, log_s: np.ndarray) -> None:
        self.log_s = Parameter(log_s)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = (np.exp(self.log_s.value) * x).reshape(len(x), -1)
        return y, np.full(len(x), self.log_s.value.sum())

    def shape(self) -> tuple[int, ...]:
        return self.log_s.value.shape

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return np.exp(-self.log_s.value) * y.reshape(-1, *self.shape())

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        s, log_s = np.exp(self.log_s.value), self.log_s
        y, dy = y.reshape(-1, *s.shape), dy.reshape(-1, *s.shape)
        log_s.grad[...] += (dy * y).sum(axis=0) + dlogdet.sum()
        return y / s, dy * s


class Broken(Clean):
    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen = x.shape[1:]
        return super().forward(x)

    def shape(self) -> tuple[int, ...]:
        return self.seen


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal((2, 3)) / 2)


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
