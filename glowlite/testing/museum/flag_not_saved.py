"""A layer that does not save that it was initialised.

The first batch sets mean and scale, and a flag records that; but the flag is not saved.
After loading, the first batch sets them again: the trained values are lost, without an error.
Seen in: glow-pytorch (rosinality) issue 6, nflows issue 4, normflows pull request 2, FrEIA 33.
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "state_survives_saving"
SHAPE = (3,)


class Clean:
    """y = (x - b) e^log_s, (N, D), with b and log_s from the first batch: mean 0, standard
    deviation 1.
    """

    def __init__(self, size: int) -> None:
        self.b, self.log_s = Parameter(np.zeros(size)), Parameter(np.zeros(size))
        self.initialised = False

    def parameters(self) -> dict[str, Parameter]:
        return {"b": self.b, "log_s": self.log_s}

    def state(self) -> dict[str, np.ndarray]:
        values = {name: p.value.copy() for name, p in self.parameters().items()}
        return values | {"initialised": np.array(self.initialised)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        for name, p in self.parameters().items():
            p.value[...] = state[name]
        self.initialised = bool(state.get("initialised", False))  # like a new layer

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.initialised:
            self.b.value[...] = x.mean(axis=0)
            self.log_s.value[...] = -np.log(x.std(axis=0) + 1e-6)
            self.initialised = True
        y = (x - self.b.value) * np.exp(self.log_s.value)
        return y, np.full(len(x), self.log_s.value.sum())

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return y * np.exp(-self.log_s.value) + self.b.value

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        dx = dy * np.exp(self.log_s.value)
        self.b.grad[...] -= dx.sum(axis=0)
        self.log_s.grad[...] += (dy * y).sum(axis=0) + dlogdet.sum()
        return self.inverse(y), dx


class Broken(Clean):
    def state(self) -> dict[str, np.ndarray]:
        return {name: p.value.copy() for name, p in self.parameters().items()}


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    layer = kind(3)
    layer.forward(rng.standard_normal((8, 3)) * [0.5, 1.0, 3.0] + rng.standard_normal(3))
    return layer


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
