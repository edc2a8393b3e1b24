"""A prior whose mean depends on the very variable that it is the prior of.

The mean of z2 is computed from z2 instead of z1, so this is no density: its integral is not 1.
The likelihood rises faster than that of a proper density: the prior can be centred on every z.
Seen in: glow-pytorch (rosinality) issue 29 (the prior after a split, from the wrong half).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "density_integrates_to_one"
SHAPE = (2,)


class Clean:
    """z = (x - b) W, (N, 2), with z1 ~ N(0, 1) and z2 ~ N(w tanh z1, 1), given z1."""

    def __init__(self, m: np.ndarray, b: np.ndarray, w: float) -> None:
        self.m, self.b, self.w = Parameter(m), Parameter(b), Parameter(np.array(w))

    def parameters(self) -> dict[str, Parameter]:
        return {"m": self.m, "b": self.b, "w": self.w}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logdet = np.full(len(x), np.linalg.slogdet(self.m.value)[1])
        return (x - self.b.value) @ self.m.value, logdet

    def inverse(self, z: np.ndarray) -> np.ndarray:
        return z @ np.linalg.inv(self.m.value) + self.b.value

    def backward(
        self, z: np.ndarray, dz: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x, dx = self.inverse(z), dz @ self.m.value.T
        self.m.grad[...] += (x - self.b.value).T @ dz
        self.m.grad[...] += dlogdet.sum() * np.linalg.inv(self.m.value).T
        self.b.grad[...] -= dx.sum(axis=0)
        return x, dx

    def mean_of_z2(self, z: np.ndarray) -> np.ndarray:
        return self.w.value * np.tanh(z[:, 0])

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        z, logdet = self.forward(x)
        squares = z[:, 0] ** 2 + (z[:, 1] - self.mean_of_z2(z)) ** 2
        return logdet - squares / 2 - np.log(2 * np.pi)

    def sample(self, n: int, seed: int) -> np.ndarray:
        z = np.random.default_rng(seed).standard_normal((n, 2))
        z[:, 1] += self.w.value * np.tanh(z[:, 0])
        return self.inverse(z)


class Broken(Clean):
    def mean_of_z2(self, z: np.ndarray) -> np.ndarray:
        return self.w.value * np.tanh(z[:, 1])


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    m = np.eye(2) + rng.uniform(-0.4, 0.4, (2, 2))
    return kind(m, rng.standard_normal(2) / 2, rng.uniform(0.5, 0.8))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
