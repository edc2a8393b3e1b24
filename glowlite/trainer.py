"""Training: one step, one evaluation, and the loop around them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from glowlite.backend import Array, to_host
from glowlite.bijectors.chain import END
from glowlite.bijectors.memory import Memory
from glowlite.data.dataset import Dataset
from glowlite.errors import GlowliteError
from glowlite.models.glow import Glow
from glowlite.objective import (
    bits_per_dim,
    check_finite,
    dequantisation_noise,
    dequantise,
    log_normal,
    loss_gradients,
)
from glowlite.optimizers import Adam, Optimizer, clip_factor, gradient_norm, learning_rate
from glowlite.randomness import generator
from glowlite.workers import available_bytes

DRIFT_LIMIT = 1e-2  # of the range 1 of an image: gradients taken at inputs that far off are no longer those of the loss


@dataclass(frozen=True)
class Settings:
    """How to train. steps, batch: images a step; lr: peak learning rate; warmup: steps; clip: gradient norm, 0 for none."""

    steps: int = 600
    batch: int = 64
    lr: float = 4e-3
    warmup: int = 50
    clip: float = 0.0
    n_bits: int = 5
    seed: int = 0
    log_every: int = 10
    evaluate_every: int = 100


@dataclass(frozen=True)
class StepResult:
    """bits/dim of the batch before the update, the norm of the gradient, and the largest error of a rebuilt input."""

    bits_per_dim: float
    grad_norm: float
    drift: float


@dataclass(frozen=True)
class Metrics:
    """One line of `metrics.jsonl`. train_bits_per_dim: mean since the last line; held_out_bits_per_dim: where evaluated."""

    step: int
    epoch: float
    train_bits_per_dim: float
    held_out_bits_per_dim: float | None
    learning_rate: float
    grad_norm: float
    drift: float
    seconds: float


class Observer(Protocol):
    """Whoever wants to see training go by: the progress bar, the files of a run."""

    def on_step(self, step: int, result: StepResult) -> None: ...
    def on_metrics(self, metrics: Metrics) -> None: ...


def training_step(model: Glow, optimizer: Optimizer, x: Array, n_bits: int, lr: float, clip: float = 0.0) -> StepResult:
    """One update of the weights from the dequantised batch x (N, H, W, C)."""
    with model.workers:
        return _training_step(model, optimizer, x, n_bits, lr, clip)


def _training_step(model: Glow, optimizer: Optimizer, x: Array, n_bits: int, lr: float, clip: float) -> StepResult:
    latents, logdet, kept = model.forward_keeping(x)
    log_prob = sum((log_normal(eps) for eps in latents), start=logdet)
    loss = float(bits_per_dim(log_prob, model.config.dimensions, n_bits).mean())
    check_finite("the loss (bits/dim)", loss)

    model.store.clear_gradients(model.workers)
    x_rebuilt, _ = model.backward(latents, *loss_gradients(latents, len(x)), kept)
    drift = max([float(d) for d in kept.drift.values()] + [float(abs(x_rebuilt - x).max())])
    if not drift <= DRIFT_LIMIT:
        raise GlowliteError(drift_message(model, x, drift))

    norm = check_finite("the norm of the gradient", float(gradient_norm(model.store.grad, model.workers)))
    optimizer.step(model.store.grad, lr, clip_factor(norm, clip), model.workers)
    return StepResult(loss, norm, drift)


def drift_message(model: Glow, x: Array, drift: float) -> str:
    """Run the step again with an anchor at every layer, so as to name the one whose inverse loses most."""
    policies = [level.steps.chain.memory for level in model.levels]
    for level in model.levels:
        level.steps.chain.memory = Memory("anchored", 1)
    latents, _, kept = model.forward_keeping(x)
    model.backward(latents, *loss_gradients(latents, len(x)), kept)
    for level, policy in zip(model.levels, policies, strict=True):
        level.steps.chain.memory = policy
    inputs = {name: d for name, d in kept.drift.items() if not name.endswith(END)}
    name, worst = max(inputs.items(), key=lambda item: (item[1] != item[1], item[1]))
    return (
        f"rebuilt inputs are off by {drift:.1e} of the image range (limit {DRIFT_LIMIT:.0e}), most at {name}, {worst:.1e}:"
        " use --memory anchored:4, --dtype float64, or a lower --lr"
    )


def evaluate(model: Glow, images: np.ndarray, n_bits: int, batch: int, seed: int) -> float:
    """Mean bits/dim over all `images`, uint8 (N, H, W, C), with one fixed draw of the dequantisation noise."""
    total = 0.0
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        noise = dequantisation_noise(seed, "evaluate", 0, start, part.shape, model.dtype.name)
        total += float(model.bits_per_dim(dequantise(part, n_bits, noise, model.xp), n_bits).sum())
    return total / len(images)


def batches(images: np.ndarray, settings: Settings, dtype: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every step: uint8 images (batch, H, W, C) in the shuffled order of the epoch, and their noise in `dtype`."""
    steps_per_epoch = len(images) // settings.batch
    for step in range(settings.steps):
        epoch, position = divmod(step, steps_per_epoch)
        if position == 0:
            order = generator(settings.seed, "shuffle", epoch).permutation(len(images))
        chosen = order[position * settings.batch : (position + 1) * settings.batch]
        part = np.ascontiguousarray(images[chosen])
        yield part, dequantisation_noise(settings.seed, "dequantise", step, 0, part.shape, dtype)


def check_settings(settings: Settings, data: Dataset) -> None:
    """Raise GlowliteError for settings that these data cannot be trained with, before anything is written."""
    if settings.batch > len(data.train):
        raise GlowliteError(f"batch {settings.batch} is larger than the {len(data.train)} training images; lower --batch")


def check_memory(model: Glow, batch: int) -> None:
    """Raise GlowliteError if a step cannot fit this machine's memory: the operating system would end it without a word."""
    wanted, there = model.step_bytes(batch), available_bytes()
    if model.xp is np and wanted > there:
        raise GlowliteError(
            f"a step needs at least {wanted / 2**30:.1f} GiB, and this machine has {there / 2**30:.1f} GiB:"
            " lower --batch, --width or --K, or use --memory reversible"
        )


def train(model: Glow, data: Dataset, settings: Settings, observers: list[Observer]) -> float:
    """Train `model` on `data`; returns the last held-out bits/dim. Every `log_every` steps the observers get Metrics."""
    check_settings(settings, data)
    check_memory(model, settings.batch)
    optimizer = Adam(model.store.theta)
    started, recent, held_out = time.perf_counter(), [], math.nan
    for step, (images, noise) in enumerate(batches(data.train, settings, model.dtype.name)):
        x = dequantise(images, settings.n_bits, noise, model.xp)
        if not model.initialized:
            model.initialize(x)
        lr = learning_rate(step, settings.steps, settings.lr, settings.warmup)
        try:
            result = training_step(model, optimizer, x, settings.n_bits, lr, settings.clip)
        except GlowliteError as error:
            raise GlowliteError(f"step {step + 1}: {error}") from None
        recent.append(result.bits_per_dim)
        for observer in observers:
            observer.on_step(step + 1, result)

        done = step + 1
        evaluates = done % settings.evaluate_every == 0 or done == settings.steps
        if evaluates:
            held_out = evaluate(model, data.held_out, settings.n_bits, settings.batch, settings.seed)
        if evaluates or done % settings.log_every == 0:
            metrics = Metrics(
                step=done,
                epoch=done * settings.batch / len(data.train),
                train_bits_per_dim=float(np.mean(recent)),
                held_out_bits_per_dim=held_out if evaluates else None,
                learning_rate=lr,
                grad_norm=result.grad_norm,
                drift=result.drift,
                seconds=time.perf_counter() - started,
            )
            recent = []
            for observer in observers:
                observer.on_metrics(metrics)
    return held_out


def sample_images(model: Glow, n: int, temperature: float, seed: int) -> np.ndarray:
    """n samples on the host, (n, H, W, C), floating point; some can be non-finite where an inverse overflows."""
    return to_host(model.sample(n, temperature, seed))
