"""A model in training: its steps, and all that a checkpoint has to hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glowlite.arrays.backend import Array, to_device, to_host
from glowlite.arrays.slices import cut
from glowlite.arrays.statistics import this_process
from glowlite.data.batches import Batch
from glowlite.distributed.allreduce import Allreduce
from glowlite.errors import GlowliteError
from glowlite.fast.cuda.dequantization import dequantize_on_device
from glowlite.fast.cuda.upload import Staging
from glowlite.fast.lanes import Lanes
from glowlite.objective import as_continuous
from glowlite.training.guards import BadStep, check_step, is_good
from glowlite.training.metrics import StepResult
from glowlite.training.optimizers import OPTIMIZERS, AveragedWeights, Optimizer, learning_rate
from glowlite.training.settings import Settings, State, check_parts
from glowlite.training.step import Gradients, training_step

if TYPE_CHECKING:
    from glowlite.flow import Flow

MAX_PENDING = 50  # steps that a GPU takes before the host looks: each holds its batch on the host
SKIPPED_IN_A_ROW = 20  # so many bad steps, one after the other, are no accident


@dataclass(frozen=True)
class PendingStep:
    """A step that the host has not looked at: its number, its batch, and what it came to."""

    step: int
    batch: Batch
    result: StepResult


class Training:
    """`model` under `settings`: its optimiser, the average of its weights (None without), and the
    `state` so far.

    `allreduce`: how gradients are added up over the processes that train together; each has the
    whole of everything else.
    """

    def __init__(self, model: Flow, settings: Settings, allreduce: Allreduce | None = None) -> None:
        self.model, self.settings, self.state = model, settings, State()
        self.allreduce = allreduce or Allreduce()
        self.ranks = self.allreduce.ranks
        check_parts(settings, self.ranks.size)
        if settings.scale_penalty and not model.penalized:
            raise GlowliteError(
                f"scale_penalty: a {type(model).__name__} has no scales that it holds small; leave"
                " it out"
            )
        if model.variational and settings.n_bits is None:
            raise GlowliteError(
                "dequantise: variational dequantisation is of uint8 images, and these data are"
                " numbers; take uniform"
            )
        theta = model.store.theta
        self.optimizer: Optimizer = OPTIMIZERS[settings.optimizer](
            theta, settings.beta1, settings.beta2, settings.epsilon
        )
        # with running statistics: those of the newest weights are not those of averaged ones
        state = model.store.state()
        self.average = AveragedWeights(state, settings.average) if settings.average else None
        self.staging = None if model.xp is np else Staging(model.xp)
        self._pending: list[PendingStep] = []
        self._gradients: Gradients | None = None

    @property
    def steps_between_looks(self) -> int:
        """After how many steps the host looks at what they came to: see `synchronize`.

        On a GPU, looking waits for the device. A step that may be skipped is looked at right away,
        and so is one of several processes, which meet in every step in any case.
        """
        settings = self.settings
        right_away = settings.on_bad_step == "skip" or settings.shards or self.ranks.size > 1
        return 1 if self.model.xp is np or right_away else MAX_PENDING

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
        """Set every ActNorm from the first batch: this rank's share of it; or, with shards, from
        all of it.
        """
        flow, x = self.model.of_noise(self.continuous(first), self.settings.n_bits)
        flow.initialize(x, this_process if self.settings.shards else self.allreduce.sum_of)
        self.model.initialized = True

    def continuous(self, batch: Batch) -> Array:
        """x of a batch, where the model is: on a GPU one upload, which waits for nothing."""
        n_bits, dtype = self.settings.n_bits, self.model.dtype
        variational = self.model.variational
        if self.staging is None:
            return as_continuous(batch.images, n_bits, batch.noise, dtype, np, variational)
        *noise, images = self.staging.upload(
            *([] if batch.noise is None else [batch.noise]), batch.images
        )
        if n_bits is None or not noise:
            x = as_continuous(images, None, None, dtype, self.model.xp)
        elif variational:
            x = as_continuous(images, n_bits, noise[0], dtype, self.model.xp, variational)
        else:
            x = dequantize_on_device(images, n_bits, noise[0])
        self.staging.release()
        return x

    def labels_of(self, batch: Batch) -> Array | None:
        """The classes of a batch, where the model is; None for a model without any."""
        return None if batch.labels is None else to_device(batch.labels, self.model.xp)

    def step(self, batch: Batch) -> StepResult | None:
        """Update the weights from (this process's share of) a batch; None for one that was skipped.

        Raises GlowliteError, on every process, for a bad step that is not to be skipped.
        """
        state = self.state
        good = self._pending[-1].result.good if self._pending else None
        result = self._update(batch, self.learning_rate(), good)
        state.step += 1
        self._pending.append(PendingStep(state.step, batch, result))
        if len(self._pending) >= self.steps_between_looks:
            skipped = state.skipped
            self.synchronize()
            if state.skipped > skipped:
                return None
        if self.average is not None:
            self.average.update(self.model.store.state(), self.model.workers)
        return result

    def _update(self, batch: Batch, lr: float, good: Array | None = None) -> StepResult:
        settings, what = self.settings, f"step {batch.step + 1}"
        return training_step(
            self.model, self.optimizer, self.continuous(batch), settings.n_bits, lr, settings.clip,
            self.parts(), settings.batch, self.allreduce, settings.shards > 0, what, good,
            self._gradients, self.labels_of(batch), settings.label_weight,
            settings.scale_penalty,
        )  # fmt: skip

    def synchronize(self) -> None:
        """Look at the steps that nobody has looked at: one download, which waits for the device.

        A bad one, and any after it, has left the weights as they were. It is skipped, or
        GlowliteError says what was wrong with it.
        """
        pending, self._pending = self._pending, []
        if not pending:
            return
        tables = to_host(self.model.xp.stack([step.result.table for step in pending]))
        for step, table in zip(pending, tables, strict=True):
            if is_good(*table):
                self.state.losses.append(float(table[0]))
                self.state.skipped_in_a_row = 0
            else:
                self._skip(step)

    def _skip(self, bad: PendingStep) -> None:
        """Count a bad step; raise GlowliteError if it is not to be skipped, or too many were."""
        state, settings = self.state, self.settings
        state.skipped += 1
        state.skipped_in_a_row += 1
        self.optimizer.steps -= 1
        if settings.on_bad_step == "skip" and state.skipped_in_a_row <= SKIPPED_IN_A_ROW:
            return
        # where other steps came after it, its gradient is gone: it is taken again
        again = self.steps_between_looks > 1
        result = self._update(bad.batch, 0.0) if again else bad.result
        try:
            check_step(
                self.model, self.continuous(bad.batch), self.parts(), result, self.ranks,
                self.labels_of(bad.batch), settings.n_bits,
            )  # fmt: skip
        except BadStep as error:
            often = f" ({state.skipped} bad steps so far)" if state.skipped > 1 else ""
            raise GlowliteError(f"step {bad.step}: {error}{often}") from None
        loss, norm, drift = to_host(bad.result.table).tolist()
        raise GlowliteError(
            f"step {bad.step}: loss {loss}, norm of the gradient {norm}, drift {drift}, but not so"
            " when it was taken again: is this GPU in order?"
        )

    @contextmanager
    def in_lanes(self) -> Iterator[None]:
        """Inside, the two halves of a batch of a small model run side by side: see `fast.lanes`.

        Under mpirun they do so without more processes: each rank has a core.
        """
        with Lanes(self.model, self.images_at_once(), processes=self.ranks.size == 1) as lanes:
            self._gradients = lanes.gradients
            try:
                yield
            finally:
                self._gradients = None

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the model has its averaged weights and statistics, if they are averaged.

        Cost: the memory of two more vectors.
        """
        if self.average is None or self.average.updates == 0:
            yield
            return
        store = self.model.store
        raw = store.state().copy()
        store.set_state(self.average.value())
        try:
            yield
        finally:
            store.set_state(raw)
