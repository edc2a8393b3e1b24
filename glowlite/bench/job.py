"""What is measured: a model, a batch, and the resources that it may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glowlite.arrays.backend import Array, Namespace, to_device
from glowlite.bench.figures import name_of
from glowlite.bijectors.memory import Kept, Memory
from glowlite.fast.threads import Workers
from glowlite.models.config import GlowConfig
from glowlite.models.glow import Glow
from glowlite.training.optimizers import Optimizer
from glowlite.training.step import Gradients, training_step


@dataclass(frozen=True)
class Job:
    """A Glow of `config`, with `batch` images of n_bits per step.

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

    def bare_model(self, memory: Memory | None = None, xp: Namespace = np) -> Glow:
        """Return an uninitialised model, which is enough to ask what it would keep."""
        return Glow(self.config, memory=memory, workers=self.workers(), xp=xp, plain=self.plain)

    def model(self, memory: Memory | None = None, xp: Namespace = np) -> Glow:
        """Return an initialised model whose output layers are not zero, since zeros could save
        time.
        """
        model = self.bare_model(memory, xp)
        model.initialize(self.images(xp))
        rng = np.random.default_rng(0)
        for name, p in model.store.parameters.items():
            if name.endswith(("conv3/weight", "conv/weight")):
                p.value[...] = to_device(0.001 * rng.standard_normal(p.value.shape, np.float32), xp)
        return model

    def kept(self, budgets: Sequence[Memory], xp: Namespace = np) -> dict[str, Kept]:
        """Return what a step keeps under each budget, by `name_of`. Cost: a model, few images."""
        model, found = self.bare_model(xp=xp), dict[str, Kept]()
        for memory in dict.fromkeys(budgets):
            model.memory = memory
            each = model.kept(self.batch)
            assert each is not None  # a Glow always has a budget
            found[name_of(memory)] = each
        return found

    def images(self, xp: Namespace = np) -> Array:
        """Return a batch (N, H, W, C) in [-0.5, 0.5), float32."""
        x = (np.random.default_rng(1).random((self.batch, *self.config.image_shape)) - 0.5).astype(
            np.float32
        )
        return to_device(x, xp)

    def step(
        self, model: Glow, optimizer: Optimizer, x: Array, gradients: Gradients | None = None
    ) -> None:
        """Return a whole training step, including Adam. It raises MemoryError if it had to keep
        less than requested.

        `gradients`: the model's method, or that of its Lanes.
        """
        memory = model.memory
        training_step(model, optimizer, x, self.n_bits, lr=1e-5, gradients=gradients)
        if model.memory != memory:
            raise MemoryError(f"not enough memory for {memory}")


# of one sample, as in section 6 of the paper
LATENCY = Job(
    GlowConfig.openai((256, 256, 3), L=6, coupling="additive"), batch=1, threads=1, tile=4.0
)
