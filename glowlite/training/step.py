"""One update of the weights from a batch: gradients, summed over parts and processes, then the
optimiser.

The numbers of a step stay on the device of the arrays, and whether the step is good is decided
there, so the host need not wait for a GPU. A step that is not good changes nothing;
`guards.check_step` reports why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from glowlite.arrays.backend import Array, namespace, to_device, to_host
from glowlite.arrays.sizes import memory_of
from glowlite.distributed.allreduce import Allreduce
from glowlite.distributed.pairwise_sum import PairwiseSum
from glowlite.terminal import warn
from glowlite.training.guards import is_good
from glowlite.training.metrics import StepResult
from glowlite.training.optimizers import Optimizer, clip_factor, gradient_norm

if TYPE_CHECKING:
    from glowlite.flow import Flow

Pass = Callable[[], tuple[Array, Array]]  # runs a part of a batch; returns loss and drift
Gradients = Callable[..., tuple[Array, Array]]  # like Flow.gradients


def training_step(
    model: Flow,
    optimizer: Optimizer,
    x: Array,
    n_bits: int | None,
    lr: float,
    clip: float = 0.0,
    parts: Sequence[slice] | None = None,
    batch: int | None = None,
    allreduce: Allreduce | None = None,
    pairwise: bool = False,
    what: str = "a step",
    good: Array | None = None,
    gradients: Gradients | None = None,
    labels: Array | None = None,
    label_weight: float = 0.0,
    scale_penalty: float = 0.0,
) -> StepResult:
    """Do one update from the batch x (N, ...), in `parts`, of which one is in memory at a time.

    The gradients of the parts are added and, with an `allreduce`, also those of the processes,
    whose x are shares of a `batch`. So the update is that of the whole batch. `pairwise`: add in an
    order that does not depend on the number of processes; see `PairwiseSum`. `good`: whether all
    steps that the host has not checked were good. A step that is not good, or follows such a step,
    does not change the weights. `gradients`: `model.gradients`, or another way to run it, such as
    `Lanes.gradients`. `labels` (N,), `label_weight`: for a model with classes, see
    `ByClass.gradients`. `scale_penalty`: this factor times the sum of squares of the model's
    `penalized` parameters is added to the objective, but not to the reported loss.
    """
    allreduce, batch = allreduce or Allreduce(), batch or len(x)
    store, workers, parts = model.store, model.workers, parts or [slice(0, len(x))]
    with workers:
        run = partial(gradients or model.gradients, n_bits=n_bits, batch=batch)
        of_parts = [partial(run, x[part]) for part in parts]
        if labels is not None:
            of_parts = [
                partial(run_part, labels=labels[part], label_weight=label_weight)
                for run_part, part in zip(of_parts, parts, strict=True)
            ]
        passes = _gradients(model, of_parts, pairwise, what)
        shares = _of_every_process(passes, allreduce, what)
        began = time.perf_counter()
        allreduce.sum_in_place(store.grad, pairwise)
        if store.statistics:
            allreduce.sum_in_place(store.change, pairwise)
        allreduce.seconds += time.perf_counter() - began
        if scale_penalty:
            for where in model.penalized:  # gradient of w p^2: 2 w p
                store.grad[where] += 2 * scale_penalty * store.theta[where]
        norm = gradient_norm(store.grad, workers)
        xp = namespace(norm)
        table = xp.stack([shares[:, 0].sum(), norm, shares[:, 1].max()])
        good = is_good(*table) if good is None else good & is_good(*table)
        optimizer.step(store.grad, lr, xp.where(good, clip_factor(norm, clip), xp.nan), workers)
        if store.statistics:
            store.running += xp.where(good, store.change, 0)
    return StepResult(table, good, shares)


def _gradients(
    model: Flow, parts: Sequence[Pass], pairwise: bool, what: str
) -> list[tuple[Array, Array]]:
    """Compute the gradients of all parts in `store.grad`; return loss and drift of each part.

    If memory runs out, keep half as much from then on, and compute them again.
    """
    while True:
        try:
            return _passes(model, parts, pairwise)
        except MemoryError:
            budget = model.memory
            if budget is None or budget.bytes == 0:
                raise
        model.memory = budget.halved(memory_of(model.xp)[1])
        if model.xp is not np:
            model.xp.get_default_memory_pool().free_all_blocks()
        warn(
            f"warning: {what}: out of memory with a budget of {budget}; continuing with"
            f" {model.memory}"
        )


def _passes(model: Flow, parts: Sequence[Pass], pairwise: bool) -> list[tuple[Array, Array]]:
    store = model.store
    model.workers.clear(store.grad)
    store.change.fill(0)
    vectors = (store.grad, store.change) if store.statistics else (store.grad,)
    sums, passes = [PairwiseSum(vector) for vector in vectors] if pairwise else [], []
    for run in parts:
        passes.append(run())
        for summed in sums:
            summed.add(last=len(passes) == len(parts))
    return passes


def _of_every_process(passes: list[tuple[Array, Array]], allreduce: Allreduce, what: str) -> Array:
    """From (loss, drift) of every part here, return those of every part on every process,
    (processes, 2, parts).
    """
    ranks, xp = allreduce.ranks, namespace(passes[0][0])
    losses, drifts = zip(*passes, strict=True)
    numbers = xp.stack([*losses, *drifts])
    if ranks.size > 1:
        numbers = to_device(ranks.allgather_numbers(to_host(numbers), what), xp)
    return numbers.reshape(ranks.size, 2, len(passes))
