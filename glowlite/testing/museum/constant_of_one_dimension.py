"""A base whose normalising constant is that of one dimension.

log N(z) is the sum of -z^2 / 2 over D numbers, minus log(2 pi) / 2 once instead of D times.
Training works, since gradients are right, and so do samples; but all likelihoods are too high.
Of a kind that a sum of squares invites, with the constant written after it.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "density_integrates_to_one"
SHAPE = (2,)


class Clean:
    """z = e^log_s x + b, (N, 2), with z standard normal."""

    def __init__(self, log_s: np.ndarray, b: np.ndarray) -> None:
        self.log_s, self.b = Parameter(log_s), Parameter(b)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s, "b": self.b}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = x * np.exp(self.log_s.value) + self.b.value
        return z, np.full(len(x), self.log_s.value.sum())

    def inverse(self, z: np.ndarray) -> np.ndarray:
        return (z - self.b.value) * np.exp(-self.log_s.value)

    def backward(
        self, z: np.ndarray, dz: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.b.grad[...] += dz.sum(axis=0)
        self.log_s.grad[...] += (dz * (z - self.b.value)).sum(axis=0) + dlogdet.sum()
        return self.inverse(z), dz * np.exp(self.log_s.value)

    def constant(self) -> float:
        return len(self.b.value) * np.log(2 * np.pi) / 2

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        z, logdet = self.forward(x)
        return logdet - (z**2).sum(axis=1) / 2 - self.constant()

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.inverse(np.random.default_rng(seed).standard_normal((n, 2)))


class Broken(Clean):
    def constant(self) -> float:
        return np.log(2 * np.pi) / 2


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal(2) / 2, rng.standard_normal(2))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
