"""The numbers of a training: those of one step, and those of a line of metrics and of timing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glowlite.arrays.backend import Array, namespace


@dataclass(frozen=True)
class StepResult:
    """What one step came to; on a GPU, reading a number waits for the device.

    `table`: bits/dim of the batch before the update, the norm of the gradient, and the largest
    error of a rebuilt input: (3,), float64. `good`: whether this step, and all before it that the
    host has not looked at, may change the weights, 0-d. `shares`: loss and drift of every part of
    the batch on every process, (processes, 2, parts).
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
        """Whether the host has it."""
        return namespace(self.table) is np


@dataclass(frozen=True)
class Metrics:
    """One line of `metrics.jsonl`: the same for every run of the same seed, interrupted or not.

    train_bits_per_dim: mean since the last line, None if every step was skipped;
    held_out_bits_per_dim: where evaluated, of the averaged weights if there are any, and then
    held_out_raw_bits_per_dim of the raw ones; drift: of the last step; condition: the largest
    condition number of a 1x1 convolution; reconstruction_error: in grey levels of 8 bits, or, for
    data that are not images, in their own unit; held_out_accuracy, held_out_bayes_accuracy: of a
    model of classes, which is evaluated given the labels, the parts of the images whose class its
    classifier, and Bayes' rule, find. Those of raw weights and of a reconstruction are None where
    they are not finite; of the others none is written then.
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
    """One line of `timing.jsonl`, beside the one of Metrics.

    seconds: of training, over all sessions of a resumed run; images_per_second: since the last
    line, evaluation not counted; waiting: the part of that time that training waited for its
    images; exchange: that it spent in adding up gradients over processes.
    """

    step: int
    seconds: float
    images_per_second: float
    waiting: float
    exchange: float
