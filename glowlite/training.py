"""A model in training: what an update of its weights is, and all that a checkpoint has to hold."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from glowlite.backend import Array
from glowlite.batches import Batch
from glowlite.communicator import Alone, of_one
from glowlite.errors import GlowliteError
from glowlite.exchange import Exchange
from glowlite.guards import BadStep, check_drift, check_gradient, check_loss
from glowlite.models.glow import Glow
from glowlite.objective import bits_per_dim, dequantise, log_normal, loss_gradients
from glowlite.optimizers import OPTIMIZERS, AveragedWeights, Optimizer, clip_factor, gradient_norm, learning_rate
from glowlite.settings import Settings, State, check_parts
from glowlite.workers import cut

SKIPPED_IN_A_ROW = 20  # so many bad steps, one after the other, are no accident


@dataclass(frozen=True)
class StepResult:
    """bits/dim of the batch before the update, the norm of the gradient, and the largest error of a rebuilt input."""

    bits_per_dim: float
    grad_norm: float
    drift: float


class Training:
    """`model` under `settings`: its optimiser, the average of its weights (None without), and the `state` so far.

    `exchange`: how gradients are added up over the processes that train together; each has the whole of everything else.
    """

    def __init__(self, model: Glow, settings: Settings, exchange: Exchange | None = None) -> None:
        self.model, self.settings, self.state = model, settings, State()
        self.exchange = exchange or Exchange(Alone())
        self.ranks = self.exchange.ranks
        check_parts(settings, self.ranks.size)
        theta = model.store.theta
        self.optimizer: Optimizer = OPTIMIZERS[settings.optimizer](theta, settings.beta1, settings.beta2)
        self.average = AveragedWeights(theta, settings.average) if settings.average else None

    def learning_rate(self) -> float:
        """Of the step to come."""
        s = self.settings
        return learning_rate(self.state.step, s.steps, s.lr, s.warmup, s.decay)

    def parts(self) -> list[slice]:
        """How this rank's share of a batch is taken: its shards, or in `accumulate` parts."""
        settings, ranks = self.settings, self.ranks
        share = ranks.share(settings.batch)
        if not settings.shards:
            return cut(share.stop - share.start, settings.accumulate)
        shards = cut(settings.batch, settings.shards)[ranks.share(settings.shards)]
        return [slice(shard.start - share.start, shard.stop - share.start) for shard in shards]

    def images_at_once(self) -> int:
        """The most images that a pass of this rank takes."""
        return max(part.stop - part.start for part in self.parts())

    def initialize(self, first: Batch) -> None:
        """Set every ActNorm from the first batch: this rank's share of it; or, with shards, from all of it."""
        x = dequantise(first.images, self.settings.n_bits, first.noise, self.model.xp)
        self.model.initialize(x, of_one if self.settings.shards else self.exchange.total)

    def step(self, batch: Batch) -> StepResult | None:
        """Update the weights from (this rank's share of) a batch; None for a bad step that was skipped.

        Raises GlowliteError, on every rank.
        """
        settings, state, model = self.settings, self.state, self.model
        x = dequantise(batch.images, settings.n_bits, batch.noise, model.xp)
        result = None
        try:
            result = training_step(
                model, self.optimizer, x, settings.n_bits, self.learning_rate(), settings.clip, self.parts(), settings.batch,
                self.exchange, settings.shards > 0, f"step {state.step + 1}",
            )  # fmt: skip
        except BadStep as error:
            state.skipped += 1
            state.skipped_in_a_row += 1
            if settings.on_bad_step == "stop" or state.skipped_in_a_row > SKIPPED_IN_A_ROW:
                often = f" ({state.skipped} bad steps so far)" if state.skipped > 1 else ""
                raise GlowliteError(f"step {state.step + 1}: {error}{often}") from None
        else:
            state.skipped_in_a_row = 0
            state.losses.append(result.bits_per_dim)
            if self.average is not None:
                self.average.update(model.store.theta, model.workers)
        state.step += 1
        return result

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the model has its averaged weights, if they are averaged. Cost: the memory of two more vectors."""
        if self.average is None or self.average.updates == 0:
            yield
            return
        theta = self.model.store.theta
        raw = theta.copy()
        theta[...] = self.average.value()
        try:
            yield
        finally:
            theta[...] = raw


def training_step(
    model: Glow,
    optimizer: Optimizer,
    x: Array,
    n_bits: int,
    lr: float,
    clip: float = 0.0,
    parts: Sequence[slice] | None = None,
    batch: int | None = None,
    exchange: Exchange | None = None,
    in_a_tree: bool = False,
    what: str = "a step",
) -> StepResult:
    """One update of the weights from the dequantised batch x (N, H, W, C), taken in `parts`, one in memory at a time.

    The parts' gradients are added, and, over an `exchange`, those of the ranks, whose x are shares of a `batch`: the update
    is that of the whole batch. `in_a_tree`: in an order that is the same for any number of ranks; see `TreeSum`.
    Raises BadStep, on every rank, before the weights are touched.
    """
    exchange, batch, parts = exchange or Exchange(Alone()), batch or len(x), parts or [slice(0, len(x))]
    store, workers, ranks = model.store, model.workers, exchange.ranks
    with workers:
        losses, drift, problem = np.zeros(len(parts)), 0.0, ""
        tree = TreeSum(store.grad) if in_a_tree else None
        store.clear_gradients(workers)
        try:
            for i, part in enumerate(parts):
                losses[i], part_drift = add_gradients(model, x[part], n_bits, batch)
                drift = max(drift, part_drift)
                if tree is not None:
                    tree.add(last=i == len(parts) - 1)
        except BadStep as error:
            problem = str(error)
        table = ranks.meet(np.array([*losses, drift, problem != ""], np.float64), what)
        if table[:, -1].any():
            raise BadStep(ranks.told_by(int(table[:, -1].argmax()), problem))
        began = time.perf_counter()
        exchange.add_up(store.grad, in_a_tree)
        exchange.seconds += time.perf_counter() - began
        norm = float(gradient_norm(store.grad, workers))
        check_gradient(model, norm)
        optimizer.step(store.grad, lr, clip_factor(norm, clip), workers)
    return StepResult(float(table[:, :-2].sum()), norm, float(table[:, -2].max()))


class TreeSum:
    """The sum of 2^k vectors that come one after the other, added as a tournament: ((0 + 1) + (2 + 3)) + ...

    Floating-point sums depend on their order. Here it is that of a binary tree, and what 2^j ranks add up between them is
    the top of the same tree: so the result is the same to the last bit for any such number of ranks. Cost: k vectors.
    """

    def __init__(self, vector: Array) -> None:
        self.vector = vector  # each one comes here, and their sum is left here
        self._waiting: list[tuple[int, Array]] = []  # sums of 2^level vectors that have no partner yet

    def add(self, last: bool) -> None:
        """Take what is in the vector; leave zeros there, or, after the last one, the sum."""
        level = 0
        while self._waiting and self._waiting[-1][0] == level:
            earlier = self._waiting.pop()[1]
            earlier += self.vector  # the earlier one on the left: its place in the tree
            self.vector[...] = earlier
            level += 1
        if not last:
            self._waiting.append((level, self.vector.copy()))
            self.vector.fill(0)


def add_gradients(model: Glow, x: Array, n_bits: int, batch: int) -> tuple[float, float]:
    """Add the gradients of the share that x has in the mean bits/dim of a `batch`; that share, and the drift."""
    latents, logdet, kept = model.forward_keeping(x)
    log_prob = sum((log_normal(eps) for eps in latents), start=logdet)
    loss = float(bits_per_dim(log_prob, model.config.dimensions, n_bits).sum()) / batch
    check_loss(model, x, loss)
    x_rebuilt, _ = model.backward(latents, *loss_gradients(latents, batch), kept)
    drift = float(kept.worst_drift(abs(x_rebuilt - x).max()))
    check_drift(model, x, drift)
    return loss, drift
