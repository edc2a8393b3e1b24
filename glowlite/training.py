"""A model in training: what an update of its weights is, and all that a checkpoint has to hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from glowlite.backend import Array
from glowlite.batches import Augmentation, Batch
from glowlite.errors import GlowliteError
from glowlite.guards import BadStep, check_drift, check_gradient, check_loss
from glowlite.models.glow import Glow
from glowlite.objective import bits_per_dim, check_n_bits, dequantise, log_normal, loss_gradients
from glowlite.optimizers import (
    DECAYS,
    OPTIMIZERS,
    AveragedWeights,
    Optimizer,
    clip_factor,
    gradient_norm,
    learning_rate,
)
from glowlite.workers import cut

SKIPPED_IN_A_ROW = 20  # so many bad steps, one after the other, are no accident


@dataclass(frozen=True)
class Settings:
    """How to train; `python -m glowlite.train --help` says what each means. Durations are in steps."""

    steps: int = 600
    batch: int = 64
    accumulate: int = 1
    optimizer: str = "adam"
    lr: float = 4e-3
    beta1: float = 0.9
    beta2: float = 0.999
    warmup: int = 50
    decay: str = "constant"
    clip: float = 0.0
    average: float = 0.98
    n_bits: int = 5
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    log_every: int = 10
    evaluate_every: int = 100
    evaluate_images: int = 1000
    checkpoint_every: int = 100
    on_bad_step: str = "stop"

    def __post_init__(self) -> None:
        check_n_bits(self.n_bits)
        for name, allowed in {"optimizer": OPTIMIZERS, "decay": DECAYS, "on_bad_step": ("stop", "skip")}.items():
            if getattr(self, name) not in allowed:
                raise GlowliteError(f"Settings: {name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not 1 <= self.accumulate <= self.batch:
            raise GlowliteError(f"accumulate must be 1 to the batch of {self.batch}, got {self.accumulate}")


@dataclass
class State:
    """Where a training is. `losses`: of the steps since the last line of metrics; `skipped`: bad steps passed over."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    held_out: float | None = None
    best: float | None = None
    best_step: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class StepResult:
    """bits/dim of the batch before the update, the norm of the gradient, and the largest error of a rebuilt input."""

    bits_per_dim: float
    grad_norm: float
    drift: float


class Training:
    """`model` under `settings`: its optimiser, the average of its weights (None without), and the `state` so far."""

    def __init__(self, model: Glow, settings: Settings) -> None:
        self.model, self.settings, self.state = model, settings, State()
        theta = model.store.theta
        self.optimizer: Optimizer = OPTIMIZERS[settings.optimizer](theta, settings.beta1, settings.beta2)
        self.average = AveragedWeights(theta, settings.average) if settings.average else None

    def learning_rate(self) -> float:
        """Of the step to come."""
        s = self.settings
        return learning_rate(self.state.step, s.steps, s.lr, s.warmup, s.decay)

    def step(self, batch: Batch) -> StepResult | None:
        """Update the weights from a batch; None for a bad step that was skipped. Raises GlowliteError."""
        settings, state, model = self.settings, self.state, self.model
        x = dequantise(batch.images, settings.n_bits, batch.noise, model.xp)
        if not model.initialized:
            model.initialize(x)
        result = None
        try:
            result = training_step(
                model, self.optimizer, x, settings.n_bits, self.learning_rate(), settings.clip, settings.accumulate
            )
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
    model: Glow, optimizer: Optimizer, x: Array, n_bits: int, lr: float, clip: float = 0.0, accumulate: int = 1
) -> StepResult:
    """One update of the weights from the dequantised batch x (N, H, W, C), taken in `accumulate` parts.

    The parts' gradients are added, so the update is that of the whole batch, in the memory of a part. Raises BadStep
    before the weights are touched.
    """
    with model.workers:
        model.store.clear_gradients(model.workers)
        loss, drift = 0.0, 0.0
        for part in cut(len(x), accumulate):
            part_loss, part_drift = add_gradients(model, x[part], n_bits, len(x))
            loss, drift = loss + part_loss, max(drift, part_drift)
        norm = float(gradient_norm(model.store.grad, model.workers))
        check_gradient(model, norm)
        optimizer.step(model.store.grad, lr, clip_factor(norm, clip), model.workers)
    return StepResult(loss, norm, drift)


def add_gradients(model: Glow, x: Array, n_bits: int, batch: int) -> tuple[float, float]:
    """Add the gradients of the share that x has in the mean bits/dim of a `batch`; that share, and the drift."""
    latents, logdet, kept = model.forward_keeping(x)
    log_prob = sum((log_normal(eps) for eps in latents), start=logdet)
    loss = float(bits_per_dim(log_prob, model.config.dimensions, n_bits).sum()) / batch
    check_loss(model, x, loss)
    x_rebuilt, _ = model.backward(latents, *loss_gradients(latents, batch), kept)
    drift = float(np.max([*map(float, kept.drift.values()), float(abs(x_rebuilt - x).max())]))  # NaN, if one is
    check_drift(model, x, drift)
    return loss, drift
