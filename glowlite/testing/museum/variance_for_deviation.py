"""Samples drawn with the variance in place of the standard deviation.

The log-density uses log_var; the generator needs a standard deviation, but gets e^log_var.
At variance 1, where a model starts, both are the same; later, samples vary too much or too little.
Of a kind that is seen in bayesian_flow_networks issue 1 and drbayes issue 6, not flows.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "samples_follow_the_density"
SHAPE = (1,)


class Clean:
    """z = e^log_s (x - b), (N, 1), with z ~ N(0, e^log_var)."""

    def __init__(self, log_s: np.ndarray, b: np.ndarray, log_var: np.ndarray) -> None:
        self.log_s, self.b, self.log_var = Parameter(log_s), Parameter(b), Parameter(log_var)

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s, "b": self.b, "log_var": self.log_var}

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = np.exp(self.log_s.value) * (x - self.b.value)
        return z, np.full(len(x), self.log_s.value.sum())

    def inverse(self, z: np.ndarray) -> np.ndarray:
        return z * np.exp(-self.log_s.value) + self.b.value

    def backward(
        self, z: np.ndarray, dz: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        dx = dz * np.exp(self.log_s.value)
        self.log_s.grad[...] += (dz * z).sum(axis=0) + dlogdet.sum()
        self.b.grad[...] -= dx.sum(axis=0)
        return self.inverse(z), dx

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        z, logdet = self.forward(x)
        squares = z**2 * np.exp(-self.log_var.value) + self.log_var.value + np.log(2 * np.pi)
        return logdet - squares.sum(axis=1) / 2

    def deviation(self) -> np.ndarray:
        return np.exp(self.log_var.value / 2)

    def sample(self, n: int, seed: int) -> np.ndarray:
        return self.inverse(self.deviation() * np.random.default_rng(seed).standard_normal((n, 1)))


class Broken(Clean):
    def deviation(self) -> np.ndarray:
        return np.exp(self.log_var.value)


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    log_s, b = rng.standard_normal((2, 1)) / 3
    return kind(log_s, b, rng.uniform(0.6, 1.0, 1))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
