"""A random permutation that is drawn again instead of saved.

The order of the channels is drawn when the layer is made, but it is not saved.
It works in the same process; a loaded model applies its trained weights to other channels.
Seen in: pytorch-flows pull request 17 (Shuffle), pyro pull request 2436 (AutoRegressiveNN).
"""

from __future__ import annotations

import numpy as np

from glowlite.testing.museum.parameter import Parameter

LAW = "state_survives_saving"
SHAPE = (5,)


class Clean:
    """y = e^log_s x[order], (N, D), with log|det| = sum log_s."""

    def __init__(self, log_s: np.ndarray, order: np.ndarray) -> None:
        self.log_s, self.order = Parameter(log_s), order

    def parameters(self) -> dict[str, Parameter]:
        return {"log_s": self.log_s}

    def state(self) -> dict[str, np.ndarray]:
        return {"log_s": self.log_s.value.copy(), "order": self.order.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self.log_s.value[...] = state["log_s"]
        self.order = state.get("order", self.order)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.exp(self.log_s.value) * x[:, self.order], np.full(len(x), self.log_s.value.sum())

    def inverse(self, y: np.ndarray) -> np.ndarray:
        return (np.exp(-self.log_s.value) * y)[:, np.argsort(self.order)]

    def backward(
        self, y: np.ndarray, dy: np.ndarray, dlogdet: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.log_s.grad[...] += (dy * y).sum(axis=0) + dlogdet.sum()
        return self.inverse(y), (np.exp(self.log_s.value) * dy)[:, np.argsort(self.order)]


class Broken(Clean):
    def state(self) -> dict[str, np.ndarray]:
        return {"log_s": self.log_s.value.copy()}


def clean(seed: int, kind: type[Clean] = Clean) -> Clean:
    rng = np.random.default_rng(seed)
    return kind(rng.standard_normal(5) / 2, rng.permutation(5))


def broken(seed: int) -> Clean:
    return clean(seed, Broken)
