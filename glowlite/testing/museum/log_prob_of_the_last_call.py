"""A log-density that comes from a cache, whatever the arguments are.

Forward stores latents and log-determinant, and the log-density uses them for any x.
A loop that scores what it has just mapped works; any other x gets the density of the last one.
Seen in: pyro pull request 2384 (a cached log-determinant, whatever the arguments were).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "calls_leave_no_trace"
SHAPE = (3,)


class Clean:
    """z = e^log_s x + b, (N, D), with z standard normal."""

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

    def latents(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.forward(x)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        z, logdet = self.latents(x)
        return logdet - (z**2 + np.log(2 * np.pi)).sum(axis=1) / 2

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.inverse(np.random.default_rng(seed).standard_normal((n, len(self.b.value))))


class Broken(Clean):
    kept: tuple[np.ndarray, np.ndarray] | None = None

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.kept = super().forward(x)
        return self.kept

    def latents(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.forward(x) if self.kept is None else self.kept


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal(3) / 2, rng.standard_normal(3))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
