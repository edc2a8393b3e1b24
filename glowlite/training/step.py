"""One update of the weights from a batch: gradients, over parts and ranks, what must hold of them, and the optimiser."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glowlite.arrays.backend import Array, namespace
from glowlite.distributed.allreduce import Allreduce
from glowlite.distributed.pairwise_sum import PairwiseSum
from glowlite.models.glow import Glow
from glowlite.objective import bits_per_dim, log_normal, loss_gradients
from glowlite.training.guards import DRIFT_LIMIT, BadStep, check_drift, check_gradient, check_loss
from glowlite.training.optimizers import Optimizer, clip_factor, gradient_norm


@dataclass(frozen=True)
class StepResult:
    """bits/dim of the batch before the update, the norm of the gradient, and the largest error of a rebuilt input.

    `table`: the three, float64; on a GPU, reading one waits for the device.
    """

    table: Array

    @property
    def bits_per_dim(self) -> float:
        return float(self.table[0])

    @property
    def grad_norm(self) -> float:
        return float(self.table[1])

    @property
    def drift(self) -> float:
        return float(self.table[2])

    @property
    def known(self) -> bool:
        """Whether the host has it."""
        return namespace(self.table) is np


def training_step(
    model: Glow,
    optimizer: Optimizer,
    x: Array,
    n_bits: int,
    lr: float,
    clip: float = 0.0,
    parts: Sequence[slice] | None = None,
    batch: int | None = None,
    allreduce: Allreduce | None = None,
    pairwise: bool = False,
    what: str = "a step",
) -> StepResult:
    """One update of the weights from the dequantised batch x (N, H, W, C), taken in `parts`, one in memory at a time.

    The parts' gradients are added, and, over an `allreduce`, those of the ranks, whose x are shares of a `batch`: the update
    is that of the whole batch. `pairwise`: in an order that is the same for any number of ranks; see `PairwiseSum`.
    Raises BadStep, on every rank, before the weights are touched.
    """
    allreduce, batch, parts = allreduce or Allreduce(), batch or len(x), parts or [slice(0, len(x))]
    store, workers, ranks = model.store, model.workers, allreduce.ranks
    with workers:
        losses, drift, problem = np.zeros(len(parts)), 0.0, ""
        summed = PairwiseSum(store.grad) if pairwise else None
        workers.clear(store.grad)
        try:
            for i, part in enumerate(parts):
                loss, part_drift = add_gradients(model, x[part], n_bits, batch)
                losses[i], drift = float(loss), max(drift, float(part_drift))
                if summed is not None:
                    summed.add(last=i == len(parts) - 1)
        except BadStep as error:
            problem = str(error)
        table = ranks.allgather_numbers(np.array([*losses, drift, problem != ""], np.float64), what)
        if table[:, -1].any():
            raise BadStep(ranks.broadcast(problem, root=int(table[:, -1].argmax())))
        began = time.perf_counter()
        allreduce.sum_in_place(store.grad, pairwise)
        allreduce.seconds += time.perf_counter() - began
        norm = float(gradient_norm(store.grad, workers))
        check_gradient(model, norm)
        optimizer.step(store.grad, lr, clip_factor(norm, clip), workers)
    return StepResult(np.array([table[:, :-2].sum(), norm, table[:, -2].max()]))


def unwatched_step(
    model: Glow, optimizer: Optimizer, x: Array, n_bits: int, lr: float, clip: float, parts: Sequence[slice], good: Array
) -> tuple[StepResult, Array]:
    """`training_step` on a GPU, for one process, without waiting for it: whether a step is good is decided there, too.

    good: whether every step so far was, 0-d. A step that is not, or that comes after such a one, changes no weights.
    Returns its result, on the device, and whether every step so far was good.
    """
    store, xp = model.store, model.xp
    with model.workers:
        model.workers.clear(store.grad)
        passes = [add_gradients(model, x[part], n_bits, len(x), watched=False) for part in parts]
        losses, drifts = (xp.stack(list(numbers)) for numbers in zip(*passes, strict=True))
        norm = gradient_norm(store.grad)
        table = xp.stack([losses.sum(), norm, drifts.max().astype(xp.float64)])
        good = good & is_good(*table)
        factor = xp.minimum(clip / norm, 1.0) if clip > 0 else xp.ones_like(norm)
        optimizer.step(store.grad, lr, xp.where(good, factor, xp.nan).reshape(1))
    return StepResult(table), good


def is_good(loss: Array, norm: Array, drift: Array) -> Array:
    """Whether a step with these may change the weights: numbers, or arrays."""
    return (abs(loss) < np.inf) & (abs(norm) < np.inf) & (drift <= DRIFT_LIMIT)


def add_gradients(model: Glow, x: Array, n_bits: int, batch: int, watched: bool = True) -> tuple[Array, Array]:
    """Add the gradients of the share that x has in the mean bits/dim of a `batch`; that share, and the drift, 0-d.

    `watched`: raise BadStep where they are not what they should be, before anything is added, or after.
    """
    latents, logdet, kept = model.forward_keeping(x)
    log_prob = sum((log_normal(eps) for eps in latents), start=logdet)
    loss = bits_per_dim(log_prob, model.config.dimensions, n_bits).sum() / batch
    if watched:
        check_loss(model, x, float(loss))
    x_rebuilt, _ = model.backward(latents, *loss_gradients(latents, batch), kept)
    drift = kept.worst_drift(abs(x_rebuilt - x).max())
    if watched:
        check_drift(model, x, float(drift))
    return loss, drift
