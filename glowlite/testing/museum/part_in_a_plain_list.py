"""A part whose parameters are not registered.

The parts are in a list, and only the first one is asked for its parameters: the other never learns.
It acts with its initial values, which are reasonable; the first part alone reduces the loss.
Seen in: zuko issue 15 (not registered), pytorch issue 16756, pyro pull request 1547 (flows).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "every_acting_parameter_is_named"
SHAPE = (3,)


class Shift:
    """A shift b, one part of a chain."""

    def __init__(self, b: np.ndarray) -> None:
        self.b = Parameter(b)


class Clean:
    """y = x + b0 + tanh(b1), (N, D), of two parts in a list; log|det| = 0."""

    def __init__(self, b: np.ndarray) -> None:
        self.parts = [Shift(b), Shift(np.array([0.3, -0.2, 0.1]))]

    def named(self) -> list[Shift]:
        return self.parts

    def parameters(self) -> dict[str, Parameter]:
        return {f"b{i}": part.b for i, part in enumerate(self.named())}

    def shift(self) -> np.ndarray:
        b = self.parts[0].b.value
        return (b + np.tanh(self.parts[1].b.value)).astype(b.dtype)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x + self.shift(), np.zeros(len(x))

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y - self.shift()

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        first, second = (part.b for part in self.parts)
        first.grad[...] += dy.sum(axis=0)
        second.grad[...] += dy.sum(axis=0) * (1 - np.tanh(second.value) ** 2)
        return self.inverse(y), dy.copy()


class Broken(Clean):
    def named(self) -> list[Shift]:
        return self.parts[:1]


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    return kind(np.random.default_rng(seed).standard_normal(3))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
