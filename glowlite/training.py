"""A model in training: what an update of its weights is, and all that a checkpoint has to hold."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from glowlite.backend import Array, namespace, to_host
from glowlite.batches import Batch
from glowlite.communicator import Alone, of_one
from glowlite.errors import GlowliteError
from glowlite.exchange import Exchange
from glowlite.guards import DRIFT_LIMIT, BadStep, check_drift, check_gradient, check_loss
from glowlite.models.glow import Glow
from glowlite.objective import bits_per_dim, dequantise, log_normal, loss_gradients
from glowlite.optimizers import OPTIMIZERS, AveragedWeights, Optimizer, clip_factor, gradient_norm, learning_rate
from glowlite.settings import Settings, State, check_parts
from glowlite.staging import Staging
from glowlite.workers import cut

UNREAD_MOST = 50  # steps that go by unwatched: each holds its batch on the host
SKIPPED_IN_A_ROW = 20  # so many bad steps, one after the other, are no accident


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


@dataclass(frozen=True)
class Unread:
    """A step that the host has not looked at: its number, its images, and its result on the device."""

    step: int
    batch: Batch
    result: StepResult


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
        self.staging = None if model.xp is np else Staging(model.xp)
        self._unread: list[Unread] = []
        self._good = model.xp.ones((), bool)  # whether every step so far was

    @property
    def unwatched(self) -> bool:
        """Whether the host lets steps go by on a GPU and looks at their results later: see `settle`."""
        return (
            self.model.xp is not np
            and self.ranks.size == 1
            and self.settings.on_bad_step == "stop"
            and not self.settings.shards
        )

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
        x = self.dequantised(first)
        self.model.initialize(x, of_one if self.settings.shards else self.exchange.total)

    def dequantised(self, batch: Batch) -> Array:
        """x of a batch, on the device, where there is one: one upload, which waits for nothing."""
        if self.staging is None:
            return dequantise(batch.images, self.settings.n_bits, batch.noise)
        noise, images = self.staging.upload(batch.noise, batch.images)
        x = dequantise(images, self.settings.n_bits, noise)
        self.staging.release()
        return x

    def step(self, batch: Batch) -> StepResult | None:
        """Update the weights from (this rank's share of) a batch; None for a bad step that was skipped.

        Raises GlowliteError, on every rank.
        """
        settings, state, model = self.settings, self.state, self.model
        result = None
        try:
            if self.unwatched:
                result = self._step_unwatched(batch)
            else:
                result = self._step(batch, self.learning_rate())
                state.losses.append(result.bits_per_dim)
        except BadStep as error:
            state.skipped += 1
            state.skipped_in_a_row += 1
            if settings.on_bad_step == "stop" or state.skipped_in_a_row > SKIPPED_IN_A_ROW:
                often = f" ({state.skipped} bad steps so far)" if state.skipped > 1 else ""
                raise GlowliteError(f"step {state.step + 1}: {error}{often}") from None
        else:
            state.skipped_in_a_row = 0
            if self.average is not None:
                self.average.update(model.store.theta, model.workers)
        state.step += 1
        if len(self._unread) == UNREAD_MOST:
            self.settle()
        return result

    def _step(self, batch: Batch, lr: float) -> StepResult:
        settings, state = self.settings, self.state
        return training_step(
            self.model, self.optimizer, self.dequantised(batch), settings.n_bits, lr, settings.clip, self.parts(),
            settings.batch, self.exchange, settings.shards > 0, f"step {state.step + 1}",
        )  # fmt: skip

    def _step_unwatched(self, batch: Batch) -> StepResult:
        settings = self.settings
        result, self._good = unwatched_step(
            self.model, self.optimizer, self.dequantised(batch), settings.n_bits, self.learning_rate(), settings.clip,
            self.parts(), self._good,
        )  # fmt: skip
        self._unread.append(Unread(self.state.step + 1, batch, result))
        return result

    def settle(self) -> None:
        """Look at the steps that went by unwatched: one download. Raises GlowliteError if one of them was bad.

        A bad step, and any after it, has left the weights as they were. So it can be done again, to say what is wrong.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        tables = to_host(self.model.xp.stack([done.result.table for done in unread]))
        for done, (loss, norm, drift) in zip(unread, tables.tolist(), strict=True):
            if not is_good(loss, norm, drift):
                try:
                    self._step(done.batch, 0.0)
                except BadStep as error:
                    raise GlowliteError(f"step {done.step}: {error}") from None
                raise GlowliteError(
                    f"step {done.step}: loss {loss}, norm of the gradient {norm}, drift {drift}, but not so when it was done"
                    " again: is this GPU in order?"
                )
            self.state.losses.append(loss)

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
                loss, part_drift = add_gradients(model, x[part], n_bits, batch)
                losses[i], drift = float(loss), max(drift, float(part_drift))
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
        store.clear_gradients(model.workers)
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
