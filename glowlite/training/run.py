"""A model in training: its steps, and everything that a checkpoint must contain."""

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

# steps that a GPU runs before the host checks them; each keeps its batch on the host
MAX_PENDING = 50
SKIPPED_IN_A_ROW = 20  # this many bad steps in a row are not an accident


@dataclass(frozen=True)
class PendingStep:
    """A step that the host has not checked yet: its number, its batch and its result."""

    step: int
    batch: Batch
    result: StepResult


class Training:
    """`model` under `settings`: its optimiser, the average of its weights (or None), and the
    `state` so far.

    `allreduce`: how gradients are added up over the processes that train together; each process has
    a full copy of everything else.
    """

    def __init__(self, model: Flow, settings: Settings, allreduce: Allreduce | None = None) -> None:
        self.model, self.settings, self.state = model, settings, State()
        self.allreduce = allreduce or Allreduce()
        self.ranks = self.allreduce.ranks
        check_parts(settings, self.ranks.size)
        if settings.scale_penalty and not model.penalized:
            raise GlowliteError(
                f"scale_penalty: a {type(model).__name__} has no scales to penalise; leave it out"
            )
        if model.variational and settings.n_bits is None:
            raise GlowliteError(
                "dequantise: variational dequantisation needs uint8 images, but these data are"
                " floating-point numbers; use uniform"
            )
        theta = model.store.theta
        self.optimizer: Optimizer = OPTIMIZERS[settings.optimizer](
            theta, settings.beta1, settings.beta2, settings.epsilon
        )
        # average the running statistics too: those of the newest weights do not fit the averaged
        # weights
        state = model.store.state()
        self.average = AveragedWeights(state, settings.average) if settings.average else None
        self.staging = None if model.xp is np else Staging(model.xp)
        self._pending: list[PendingStep] = []
        self._gradients: Gradients | None = None

    @property
    def steps_between_looks(self) -> int:
        """The number of steps after which the host checks their results: see `synchronize`.

        On a GPU, checking waits for the device. A step that may be skipped is checked immediately,
        and so is every step with several processes, which synchronise in every step anyway.
        """
        settings = self.settings
        right_away = settings.on_bad_step == "skip" or settings.shards or self.ranks.size > 1
        return 1 if self.model.xp is np or right_away else MAX_PENDING

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        s = self.settings
        return learning_rate(self.state.step, s.steps, s.lr, s.warmup, s.decay)

    def parts(self) -> list[slice]:
        """How this rank's share of a batch is divided: into its shards, or into
        `accumulate` parts.
        """
        settings, ranks = self.settings, self.ranks
        share = ranks.share(settings.batch)
        if not settings.shards:
            return cut(share.stop - share.start, settings.accumulate)
        shards = cut(settings.batch, settings.shards)[ranks.share(settings.shards)]
        return [slice(shard.start - share.start, shard.stop - share.start) for shard in shards]

    def images_at_once(self) -> int:
        """Return the largest number of images in one pass of this rank."""
        return max(part.stop - part.start for part in self.parts())

    def initialize(self, first: Batch) -> None:
        """Initialise every ActNorm from the first batch: from this rank's share of it or, with
        shards, from all of it.
        """
        flow, x = self.model.of_noise(self.continuous(first), self.settings.n_bits)
        flow.initialize(x, this_process if self.settings.shards else self.allreduce.sum_of)
        self.model.initialized = True

    def continuous(self, batch: Batch) -> Array:
        """Return x of a batch on the model's device; on a GPU, this is one upload that does not
        wait.
        """
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
        """Return the classes of a batch on the model's device; None for a model without classes."""
        return None if batch.labels is None else to_device(batch.labels, self.model.xp)

    def step(self, batch: Batch) -> StepResult | None:
        """Update the weights from (this process's share of) a batch. Return None for a skipped
        step.

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
        """Check the steps that were not checked yet: one download, which waits for the device.

        A bad step and all steps after it have not changed the weights. The bad step is skipped, or
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
        # if other steps followed, its gradient is lost and must be computed again
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
            f"step {bad.step}: loss {loss}, norm of the gradient {norm}, drift {drift}, but not"
            " when it was repeated: is this GPU faulty?"
        )

    @contextmanager
    def in_lanes(self) -> Iterator[None]:
        """Inside this context, the two halves of a batch of a small model run in parallel: see
        `fast.lanes`.

        Under mpirun no further processes are started, since each rank has its own core.
        """
        with Lanes(self.model, self.images_at_once(), processes=self.ranks.size == 1) as lanes:
            self._gradients = lanes.gradients
            try:
                yield
            finally:
                self._gradients = None

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside this context, the model has its averaged weights and statistics, if they are
        averaged.

        Cost: memory for two more vectors.
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
