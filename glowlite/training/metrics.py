"""The numbers of a training run: the result of one step, and lines of metrics and of timing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glowlite.arrays.backend import Array, namespace


@dataclass(frozen=True)
class StepResult:
    """The result of one step. On a GPU, reading a number waits for the device.

    `table`: bits/dim of the batch before the update, the norm of the gradient, and the largest
    error of a rebuilt input: (3,), float64. `good`: whether this step and all earlier ones that the
    host has not checked may change the weights, 0-d. `shares`: loss and drift of every part of the
    batch on every process, (processes, 2, parts).
    """

    table: Array
    good: Array
    shares: Array

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
        """Whether the host already has the numbers."""
        return namespace(self.table) is np


@dataclass(frozen=True)
class Metrics:
    """One line of `metrics.jsonl`. It is the same for every run with the same seed, interrupted or
    not.

    train_bits_per_dim: mean since the last line, None if every step was skipped;
    held_out_bits_per_dim: if evaluated, those of the averaged weights, if there are any, and then
    also held_out_raw_bits_per_dim of the raw weights; drift: that of the last step; condition: the
    largest condition number of a 1x1 convolution; reconstruction_error: in grey levels of 8 bits,
    or, for data that are not images, in their own unit; held_out_accuracy, held_out_bayes_accuracy:
    for a model with classes, which is evaluated given the labels, the fractions of images whose
    class is found by its classifier and by Bayes' rule. Values of raw weights and of
    reconstructions are None if they are not finite; if another value is not finite, no line is
    written.
    """

    step: int
    epoch: float
    train_bits_per_dim: float | None
    held_out_bits_per_dim: float | None
    held_out_raw_bits_per_dim: float | None
    learning_rate: float
    grad_norm: float | None
    drift: float | None
    condition: float
    reconstruction_error: float | None
    skipped: int
    held_out_accuracy: float | None = None
    held_out_bayes_accuracy: float | None = None


@dataclass(frozen=True)
class Timing:
    """One line of `timing.jsonl`, written with each line of metrics.

    seconds: of training, over all sessions of a resumed run; images_per_second: since the last
    line, without evaluation; waiting: the fraction of that time spent waiting for images; exchange:
    the fraction spent adding up gradients over processes.
    """

    step: int
    seconds: float
    images_per_second: float
    waiting: float
    exchange: float
