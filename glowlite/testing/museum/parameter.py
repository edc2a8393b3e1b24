"""A parameter and a buffer, which the layers of the museum share."""

from __future__ import annotations

import numpy as np


class Parameter:
    """`value` and, of the same shape, `grad`, which starts at zero and is added to."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = np.array(value, dtype=np.float64)
        self.grad = np.zeros_like(self.value)


class Buffer:
    """`value`, which affects the map but is not trained: a running mean, or a condition."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = np.array(value, dtype=np.float64)
