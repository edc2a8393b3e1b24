r"""Images of several classes: p(x | y) for every class y, and the probability of y by Bayes' rule.

    p(x) = (1 / K) sum_y p(x | y)            p(y | x) = p(x | y) / sum_k p(x | k)

All classes have the same prior probability. Only the top prior differs between classes (see
`bijectors.class_prior`), so one forward pass gives p(x | y) for all of them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self

import numpy as np

from glowlite.arrays.arguments import real_number
from glowlite.arrays.backend import Array, namespace, to_device
from glowlite.arrays.labels import check_labels, on_device
from glowlite.errors import GlowliteError
from glowlite.flow import Flow
from glowlite.models.image_model import ImageModel


class ByClass(ImageModel):
    """A model that may have `classes`. Then `given(labels)` is the flow of images of these classes,
    and is a Flow in every respect.

    Without labels, log_prob is that of the mixture of all classes, and `class_scores` works. Every
    other method that needs a class raises GlowliteError. `class_names` are saved in files.
    """

    @property
    def classes(self) -> int:  # type: ignore[override]
        """The number of classes; 0 for one flow of all images."""
        return int(self.config.classes)

    def given(self, labels: Any, label_weight: float = 0.0) -> Self:
        """Return this model given the class of each image. It shares all parameters.

        labels: whole numbers (N,) for batches of N, on the host or on the model's device, or one
        number for all images. Host labels are checked. label_weight: weight of the classifier's
        cross-entropy, in bits; `gradients` then adds its gradient to that of bits/dim.
        """
        if not self.classes:
            return super().given(labels)
        where = f"{self._name}.given"
        weight = real_number(where, "label_weight", label_weight)
        if not on_device(labels):
            labels = check_labels(where, np.atleast_1d(labels), self.classes)
        twin = self.shallow_copy()
        twin.labels = labels
        # bits/dim are log p / (D ln 2) and the classifier's bits log q / ln 2: in units of log p
        # the classifier has D times the weight
        twin.bijector = self.bijector.given(
            to_device(labels, self.xp), weight * self.dimensions if weight else 0.0
        )
        return twin

    def rows(self, rows: Any) -> Self:
        """Return the model given the labels of these images of a batch, a slice or whole numbers.
        Rows beyond the last label get the first class.
        """
        if self.labels is None or len(self.labels) == 1:
            return self
        labels = self.labels[rows]
        if isinstance(rows, slice):
            missing = rows.stop - rows.start - len(labels)
            labels = namespace(labels).concatenate((labels, namespace(labels).zeros(missing, int)))
        return self.given(labels)

    def log_prob(self, x: Array) -> Array:
        """Return log p(x), (N,), float64, nats; given labels, log p(x | y). Cost: one
        forward pass.
        """
        if not self.classes or self.labels is not None:
            return super().log_prob(x)
        return log_sum_exp(self.class_scores(x)[0]) - math.log(self.classes)

    def class_scores(self, x: Array) -> tuple[Array, Array]:
        """Return log p(x | y), (N, K), float64, nats, and the logits of the classifier, (N, K).

        By Bayes' rule the first are also logits of p(y | x). Cost: one forward pass, except for the
        top prior, which is evaluated K times.
        """
        self._check("class_scores", x)
        if not self.classes:
            raise GlowliteError(f"{self._name}.class_scores: this model was made without classes")
        with self.workers:
            latents, logdet = self.bijector.before_top().forward(x)
            *others, z = latents
            logits, _ = self.bijector.top.classifier.forward(z)
        for eps in others:
            logdet = logdet + self.base.log_prob([eps])
        columns = []
        for label in range(self.classes):
            eps, top_logdet = self.bijector.top.given(self.xp.full(1, label)).forward(z)
            columns.append(logdet + top_logdet + self.base.log_prob([eps]))
        return self.xp.stack(columns, axis=1), logits

    def gradients(
        self,
        x: Array,
        n_bits: int | None = None,
        batch: int | None = None,
        labels: Array | None = None,
        label_weight: float = 0.0,
    ) -> tuple[Array, Array]:
        """Like `Flow.gradients`. With labels, the gradients are those of `given(labels,
        label_weight)`; the returned loss is bits/dim given the labels, without the classifier's
        term.
        """
        model = self if labels is None else self.given(labels, label_weight)
        return Flow.gradients(model, x, n_bits, batch)

    def header(self) -> dict[str, Any]:
        names = {"class_names": list(self.class_names)} if self.class_names else {}
        return {**super().header(), **names}

    @classmethod
    def config_in(cls, header: Any, path: Path, checkpoint: bool = False) -> Any:
        config = super().config_in(header, path, checkpoint)
        names = header.get("class_names", [])
        if len(names) not in (0, config.classes):
            raise GlowliteError(
                f"{path}: header: {len(names)} class_names, but the model has {config.classes}"
                " classes classes"
            )
        return config

    def take_header(self, header: dict[str, Any]) -> None:
        super().take_header(header)
        self.class_names = tuple(header.get("class_names", ()))


def log_sum_exp(x: Array) -> Array:
    """Return log sum exp over the last axis of x (N, K), (N,), without overflow."""
    xp = namespace(x)
    largest = x.max(axis=1)
    return largest + xp.log(xp.exp(x - largest[:, None]).sum(axis=1))
