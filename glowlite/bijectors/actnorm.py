r"""Activation normalisation: one scale and one shift per channel (Table 1, row 1).

    y = s * x + b          x = (y - b) / s          log|det| = H W sum_c log|s_c|

Two parametrisations of (s, b), see `docs/paper_and_code.md`:
`paper`: s and b themselves. `openai`: y = (x + b') * exp(3 logs), so s = exp(3 logs) and b = b' s.
"""

from __future__ import annotations

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.arrays.checks import check_channels
from glowlite.arrays.layout import positions
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import (
    LOGS_FACTOR,
    STD_FLOOR,
    SumOverProcesses,
    channel_statistics,
    this_process,
)
from glowlite.bijectors.base import Bijector, Cache, zero_logdet
from glowlite.errors import GlowliteError


class ActNorm(Bijector):
    """Affine map per channel, initialised so that its output for the first batch has mean 0 and
    variance 1.

    x, y: (N, H, W, C) or (N, C). Parameters: `scale`, `bias` (paper) or `bias`, `logs` (openai),
    each (C,). Cost: O(N H W C).
    """

    def __init__(self, channels: int, parametrisation: str = "openai") -> None:
        self.parametrisation = parametrisation
        if parametrisation == "paper":
            self.scale = Parameter(np.ones(channels))
            self.bias = Parameter(np.zeros(channels))
        elif parametrisation == "openai":
            self.bias = Parameter(np.zeros(channels))
            self.logs = Parameter(np.zeros(channels))
        else:
            raise GlowliteError(
                f"ActNorm: parametrisation must be 'paper' or 'openai', got {parametrisation!r}"
            )

    def scale_and_shift(self) -> tuple[Array, Array, Array]:
        """Return s, b and log|s|, each (C,)."""
        if self.parametrisation == "paper":
            s = self.scale.value
            return s, self.bias.value, namespace(s).log(abs(s))
        log_s = LOGS_FACTOR * self.logs.value
        s = namespace(log_s).exp(log_s)
        return s, self.bias.value * s, log_s

    def forward(self, x: Array) -> tuple[Array, Array]:
        check_channels("ActNorm.forward", x, len(self.bias.value), self.bias.value.dtype)
        s, b, log_s = self.scale_and_shift()
        logdet = positions(x) * log_s.sum(dtype=namespace(x).float64)
        return s * x + b, zero_logdet(x) + logdet

    def inverse(self, y: Array) -> Array:
        check_channels("ActNorm.inverse", y, len(self.bias.value), self.bias.value.dtype)
        s, b, _ = self.scale_and_shift()
        return (y - b) / s

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        x = self.inverse(y) if cache is None else cache
        s, _, _ = self.scale_and_shift()
        axes = tuple(range(y.ndim - 1))
        # y = s x + b:     dx = s dy,  db = sum dy
        # d log|s|/ds = 1/s:  s ds = sum s x dy + H W sum_n dlogdet
        dx = s * dy
        db = dy.sum(axis=axes)
        s_ds = (dx * x).sum(axis=axes) + (positions(y) * dlogdet.sum()).astype(y.dtype)
        self.add_gradients(s_ds, db)
        return x, dx

    def add_gradients(self, s_ds: Array, db: Array) -> None:
        """Convert the gradients s ds and db, each (C,), and add them to those of the parameters."""
        s, b, _ = self.scale_and_shift()
        if self.parametrisation == "paper":
            self.scale.grad[...] += s_ds / s
            self.bias.grad[...] += db
        else:
            # s = exp(3 logs), b = b' s:  db' = s db,  dlogs = 3 (s ds + b db)
            self.bias.grad[...] += s * db
            self.logs.grad[...] += LOGS_FACTOR * (s_ds + b * db)

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Set scale and shift so that every channel of y has mean 0 and variance 1 for the batch
        `x`.

        Raises GlowliteError for a constant channel.
        """
        mean, std = channel_statistics("ActNorm.initialize", x, total)
        if self.parametrisation == "paper":
            self.scale.value[...] = 1.0 / (std + STD_FLOOR)
            self.bias.value[...] = -mean / (std + STD_FLOOR)
        else:
            self.bias.value[...] = -mean
            self.logs.value[...] = -namespace(std).log(std + STD_FLOOR) / LOGS_FACTOR
        return self.forward(x)[0]
