"""A model in training: its steps, watched or not, and all that a checkpoint has to hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from glowlite.arrays.backend import Array, to_host
from glowlite.arrays.slices import cut
from glowlite.arrays.statistics import of_one
from glowlite.data.batches import Batch
from glowlite.distributed.allreduce import Allreduce
from glowlite.errors import GlowliteError
from glowlite.fast.cuda.upload import Staging
from glowlite.models.glow import Glow
from glowlite.objective import dequantise
from glowlite.training.guards import BadStep
from glowlite.training.optimizers import OPTIMIZERS, AveragedWeights, Optimizer, learning_rate
from glowlite.training.settings import Settings, State, check_parts
from glowlite.training.step import StepResult, is_good, training_step, unwatched_step

UNREAD_MOST = 50  # steps that go by unwatched: each holds its batch on the host
SKIPPED_IN_A_ROW = 20  # so many bad steps, one after the other, are no accident


@dataclass(frozen=True)
class Unread:
    """A step that the host has not looked at: its number, its images, and its result on the device."""

    step: int
    batch: Batch
    result: StepResult


class Training:
    """`model` under `settings`: its optimiser, the average of its weights (None without), and the `state` so far.

    `allreduce`: how gradients are added up over the processes that train together; each has the whole of everything else.
    """

    def __init__(self, model: Glow, settings: Settings, allreduce: Allreduce | None = None) -> None:
        self.model, self.settings, self.state = model, settings, State()
        self.allreduce = allreduce or Allreduce()
        self.ranks = self.allreduce.ranks
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
        self.model.initialize(x, of_one if self.settings.shards else self.allreduce.sum_of)

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
            settings.batch, self.allreduce, settings.shards > 0, f"step {state.step + 1}",
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
