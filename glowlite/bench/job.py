"""What is measured: a model, a batch, and how much of the machine it may use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glowlite.arrays.backend import Array, Namespace, to_device
from glowlite.bijectors.memory import Memory
from glowlite.fast.threads import Workers
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow


@dataclass(frozen=True)
class Job:
    """A Glow of `config`, `batch` images of n_bits a step.

    `threads`, `tile` (MB) and `blas` as in Workers; `plain` as in Glow. `xp`, of its methods:
    numpy, or cupy for a GPU.
    """

    config: GlowConfig
    batch: int
    threads: int
    tile: float
    blas: str = "numpy"
    n_bits: int = 5
    plain: bool = False

    def workers(self) -> Workers:
        return Workers(self.threads, self.tile, self.blas)

    def model(self, memory: str = "reversible", xp: Namespace = np) -> Glow:
        """Make a model with ActNorm as data leave it and output layers that are not zero: zeros
        could save time.
        """
        policy, workers = Memory.parse(memory), self.workers()
        model = Glow(self.config, memory=policy, workers=workers, xp=xp, plain=self.plain)
        model.initialize(self.images(xp))
        rng = np.random.default_rng(0)
        for name, p in model.store.parameters.items():
            if name.endswith(("conv3/weight", "conv/weight")):
                p.value[...] = to_device(0.001 * rng.standard_normal(p.value.shape, np.float32), xp)
        return model

    def images(self, xp: Namespace = np) -> Array:
        """A batch (N, H, W, C) in [-0.5, 0.5), float32."""
        x = (np.random.default_rng(1).random((self.batch, *self.config.image_shape)) - 0.5).astype(
            np.float32
        )
        return to_device(x, xp)
