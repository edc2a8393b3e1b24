"""The training loop: batches, steps and regular evaluations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from glowlite.arrays.machine import available_bytes
from glowlite.data.batches import Batch, ahead, batches
from glowlite.data.dataset import Dataset
from glowlite.distributed.allreduce import Allreduce
from glowlite.errors import GlowliteError
from glowlite.training.agreement import check_together
from glowlite.training.class_scoring import evaluate_by_class, given_held_out
from glowlite.training.guards import check_held_out, condition
from glowlite.training.metrics import Metrics, StepResult, Timing
from glowlite.training.scoring import evaluate, reconstruction_error
from glowlite.training.settings import Settings

if TYPE_CHECKING:
    from glowlite.flow import Flow
    from glowlite.training.run import Training

T = TypeVar("T")

RECONSTRUCTED = 16  # number of held-out images that every evaluation encodes and decodes
# `initialize` needs at least so many arrays of the size of its images at the same time
STARTING_ARRAYS = 5


class Observer(Protocol):
    """An object that follows a training run, such as the progress bar or the files of a run.

    In every step, the trainer calls `on_step`, then `on_metrics` and `on_checkpoint` if they are
    due, then `after_step`, for pictures and so on. By then, everything that a resumed run needs is
    on the disk.
    """

    def on_step(self, step: int, result: StepResult | None) -> None: ...
    def on_metrics(self, metrics: Metrics, timing: Timing) -> None: ...
    def on_checkpoint(self, training: Training) -> None: ...
    def after_step(self, training: Training) -> None: ...
    def close(self) -> None: ...


def check_settings(settings: Settings, data: Dataset) -> None:
    """Raise GlowliteError, before anything is written, for settings that do not fit these data."""
    if settings.batch > len(data.train):
        raise GlowliteError(
            f"batch {settings.batch} is larger than the {len(data.train)} training images; lower"
            " --batch"
        )
    is_float = data.train.read(np.arange(1)).dtype.kind == "f"
    if is_float != (settings.n_bits is None):
        raise GlowliteError(
            f"n_bits is {settings.n_bits}, but the data are {'not ' if is_float else ''}images of"
            f" pixels; give {'n_bits=None' if is_float else 'the number of bits'}"
        )


def check_memory(model: Flow, batch: int, training_images: int) -> None:
    """Raise GlowliteError if a step, or the initialisation from some of the training images, cannot
    fit into this machine's memory. The operating system would kill the process without a message.
    """
    there, first = available_bytes(), min(model.first_images, training_images)
    start = STARTING_ARRAYS * first * math.prod(model.event_shape or ()) * model.dtype.itemsize
    for what, wanted, instead in (
        ("a step", model.step_bytes(batch), model.shrink),
        (f"initialisation from {first} images", start, "use smaller images, or fewer of them"),
    ):
        if model.xp is np and wanted > there:
            raise GlowliteError(
                f"{what} needs at least {wanted / 2**30:.1f} GiB, but this machine has"
                f" {there / 2**30:.1f} GiB: {instead}"
            )


def train(
    training: Training,
    data: Dataset,
    observers: list[Observer],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train from the present state of `training` to the last step, or until `stop()` is true at the
    end of a step.

    A checkpoint is requested when one is due, after every best evaluation, and at the end, for
    whatever reason training ends. Every rank runs this loop with its own observers. All ranks take
    the same decisions, since they decide together.
    """
    model, settings, state = training.model, training.settings, training.state
    check_settings(settings, data)
    check_memory(model, training.images_at_once(), len(data.train))
    clock = _Clock(state.seconds, training.allreduce)
    share = training.ranks.share(settings.batch)
    if state.step:  # a run may have ended between its checkpoint and its pictures
        for observer in observers:
            observer.after_step(training)
    if not model.initialized:
        training.initialize(_first_batch(training, data))
    check_together(training, "the start")
    with training.in_lanes(), closing(ahead(_batches(training, data, share))) as waiting:
        for batch in clock.waiting(waiting):
            lr = training.learning_rate()
            result = training.step(batch)
            clock.images += settings.batch
            for observer in observers:
                observer.on_step(state.step, result)

            last = state.step == settings.steps
            evaluates = last or state.step % settings.evaluate_every == 0
            if evaluates or state.step % settings.log_every == 0:
                training.synchronize()
                timing = clock.timing(state.step)
                try:
                    metrics = _metrics(training, data, lr, result, evaluates)
                except GlowliteError as error:
                    raise GlowliteError(f"step {state.step}: {error}") from None
                for observer in observers:
                    observer.on_metrics(metrics, timing)
                clock.start_again()

            stopped = bool(
                training.ranks.allgather_numbers(
                    np.array([float(stop())]), f"the end of step {state.step}"
                ).any()
            )
            is_best = evaluates and state.best_step == state.step
            if stopped or last or is_best or state.step % settings.checkpoint_every == 0:
                training.synchronize()
                state.seconds = clock.seconds()
                for observer in observers:
                    observer.on_checkpoint(training)
            for observer in observers:
                observer.after_step(training)
            if stopped:
                return


def _first_batch(training: Training, data: Dataset) -> Batch:
    """Return what a new model is initialised with: the first batch, or as many images as the model
    asks for; with several ranks, this rank's share.
    """
    settings, ranks = training.settings, training.ranks
    count = max(settings.batch, min(training.model.first_images, len(data.train)))
    share = None if settings.shards else ranks.share(count)
    dtype, augmentation = training.model.dtype.name, settings.augmentation
    return next(batches(data.train, count, 0, 1, settings.seed, dtype, augmentation, share))


def _batches(training: Training, data: Dataset, share: slice | None) -> Iterator[Batch]:
    """Yield the batches from the present step to the last one."""
    settings, dtype = training.settings, training.model.dtype.name
    first, last, seed = training.state.step, settings.steps, settings.seed
    labels = None if data.condition is None else data.labels
    return batches(
        data.train, settings.batch, first, last, seed, dtype, settings.augmentation, share, labels
    )


def _metrics(
    training: Training, data: Dataset, lr: float, result: StepResult | None, evaluates: bool
) -> Metrics:
    """Make a line of metrics. It empties `state.losses` and updates the best evaluation so far."""
    model, settings, state = training.model, training.settings, training.state
    losses, state.losses = state.losses, []
    worst = condition(model)
    raw = held_out = error = accuracy = bayes = None
    if evaluates:
        check_together(training, f"the evaluation after step {state.step}")
        held_out_set = (
            data.held_out, settings.n_bits, settings.batch, settings.seed, settings.evaluate_images,
            training.ranks
        )  # fmt: skip
        given = given_held_out(model, data)
        if training.average is not None:
            raw = _if_finite(evaluate(given, *held_out_set))
        with training.averaged():
            if data.condition is None:
                held_out = evaluate(model, *held_out_set)
            else:
                held_out, accuracy, bayes = evaluate_by_class(
                    model, data.held_out_labels, *held_out_set
                )
            some = np.arange(len(data.held_out))[:RECONSTRUCTED]
            error = _if_finite(
                reconstruction_error(given.rows(some), data.held_out.read(some), settings.n_bits)
            )
        check_held_out(held_out, state.best)
        state.held_out = held_out
        if state.best is None or held_out < state.best:
            state.best, state.best_step = held_out, state.step
    return Metrics(
        step=state.step,
        epoch=state.step / (len(data.train) // settings.batch),
        train_bits_per_dim=float(np.mean(losses)) if losses else None,
        held_out_bits_per_dim=held_out,
        held_out_raw_bits_per_dim=raw,
        learning_rate=lr,
        grad_norm=None if result is None else result.grad_norm,
        drift=None if result is None else result.drift,
        condition=worst,
        reconstruction_error=error,
        skipped=state.skipped,
        held_out_accuracy=accuracy,
        held_out_bayes_accuracy=bayes,
    )


def _if_finite(value: float) -> float | None:
    """Return the number, or None if JSON cannot represent it."""
    return value if math.isfinite(value) else None


class _Clock:
    """Times of training, of waiting for images and of adding up gradients, and the number of
    images, since the last line.
    """

    def __init__(self, before: float, allreduce: Allreduce) -> None:
        self.before, self.started, self.allreduce = before, time.perf_counter(), allreduce
        self.start_again()

    def start_again(self) -> None:
        self.line_started, self.waited, self.images = time.perf_counter(), 0.0, 0
        self.exchanged = self.allreduce.seconds

    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.started

    def waiting(self, items: Iterator[T]) -> Iterator[T]:
        while True:
            asked = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            self.waited += time.perf_counter() - asked
            yield item

    def timing(self, step: int) -> Timing:
        spent = time.perf_counter() - self.line_started
        exchanged = self.allreduce.seconds - self.exchanged
        return Timing(
            step, self.seconds(), self.images / spent, self.waited / spent, exchanged / spent
        )
