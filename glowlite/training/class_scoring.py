"""How well a model with classes distinguishes them, and its bits/dim given the labels.

By Bayes' rule with equally probable classes, the class of an image x is the one with the largest
p(x | y). The classifier of the top latents gives a second prediction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glowlite.arrays.backend import Array
from glowlite.data.dataset import Dataset
from glowlite.data.images import Images
from glowlite.distributed.communicator import Communicator
from glowlite.models.by_class import ByClass, log_sum_exp
from glowlite.objective import bits_per_dim
from glowlite.training.scoring import BLOCK, log_means, some_rows

if TYPE_CHECKING:
    from glowlite.flow import Flow


@dataclass(frozen=True)
class ClassScores:
    """For N images: bits/dim given each of K classes, (N, K); the logarithms of the classifier's
    probabilities, (N, K); and the `labels` (N,). `dimensions`: D.
    """

    dimensions: int
    bits: np.ndarray
    classifier: np.ndarray
    labels: np.ndarray

    def given_labels(self) -> np.ndarray:
        """Return bits/dim (N,) of each image given its own class."""
        return self.bits[np.arange(len(self.bits)), self.labels]

    def mixture(self) -> np.ndarray:
        """Return bits/dim (N,) of each image under the mixture of classes, the mean of all p(x |
        y).
        """
        dimensions = self.dimensions * math.log(2)
        logs = -self.bits * dimensions
        return -(log_sum_exp(logs) - math.log(logs.shape[1])) / dimensions

    @property
    def bayes_accuracy(self) -> float:
        """The fraction of images whose class is the most probable one by Bayes' rule."""
        return float((self.bits.argmin(axis=1) == self.labels).mean())

    @property
    def classifier_accuracy(self) -> float:
        """The fraction of images that the classifier classifies correctly."""
        return float((self.classifier.argmax(axis=1) == self.labels).mean())


def class_scores(
    model: Flow,
    images: Images,
    labels: np.ndarray,
    n_bits: int | None,
    batch: int,
    seed: int,
    rows: np.ndarray | None = None,
    draws: int = 1,
    ranks: Communicator | None = None,
) -> ClassScores:
    """Return ClassScores of all images with their `labels`, or of `rows`, like `scores`, for all
    classes together.

    Cost: one forward pass per draw, except for the top prior, which is evaluated K times.
    """
    count = model.classes
    logs = log_means(
        _log_probs, (2 * count,), model, images, n_bits, batch, seed, rows, draws, ranks
    )
    bits = bits_per_dim(logs[:, :count], model.dimensions, n_bits)
    labels = labels if rows is None else labels[rows]
    return ClassScores(model.dimensions, bits, logs[:, count:], labels)


def given_held_out(model: Flow, data: Dataset) -> Flow:
    """Return the model for the held-out images: a model with classes is given their labels."""
    return model if data.condition is None else model.given(data.held_out_labels)


def evaluate_by_class(
    model: Flow,
    labels: np.ndarray,
    images: Images,
    n_bits: int | None,
    batch: int,
    seed: int,
    most: int | None = None,
    ranks: Communicator | None = None,
) -> tuple[float, float, float]:
    """Return mean bits/dim given the labels, like `evaluate`, and the accuracies of the classifier
    and of Bayes' rule.
    """
    rows = some_rows(len(images), most or len(images))
    found = class_scores(model, images, labels, n_bits, min(batch, BLOCK), seed, rows, ranks=ranks)
    return float(found.given_labels().mean()), found.classifier_accuracy, found.bayes_accuracy


def _log_probs(model: ByClass, x: Array) -> Array:
    """Return log p(x | y) and the classifier's log q(y | x), side by side, (n, 2K)."""
    log_probs, logits = model.class_scores(x)
    log_q = logits - log_sum_exp(logits)[:, None]
    return model.xp.concatenate((log_probs, log_q.astype(log_probs.dtype)), axis=1)
