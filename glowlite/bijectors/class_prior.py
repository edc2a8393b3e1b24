r"""A learned prior of the last latents for every class of images, the option `y` of the original
code.

    eps = (z - mean - m_y) * exp(-(logs + l_y))        z = mean + m_y + eps * exp(logs + l_y)

    log|det| = -sum (logs + l_y)

mean and logs, (H, W, C), are those of TopPrior; (m_y, l_y) is the row of a matrix that belongs to
class y, in other words a linear map of the one-hot class, zero at the start. It has one number per
latent, (H, W, 2C), or, as in the original code, the same numbers at every pixel, (2C,).

There is also a classifier of z. It does not affect the density. In training, its cross-entropy is
added to the loss with a weight, so that z separates the classes.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from glowlite.arrays.backend import Array, namespace, to_device
from glowlite.arrays.labels import one_hot
from glowlite.arrays.parameters import Parameter
from glowlite.arrays.statistics import SumOverProcesses, this_process
from glowlite.bijectors.base import Cache
from glowlite.bijectors.top_prior import TopPrior
from glowlite.conditioners.classifier import Classifier, cross_entropy
from glowlite.errors import GlowliteError, ShapeError


class ClassPrior(TopPrior):
    """z, eps: (N, H, W, C). `given(labels)` is a bijector; without labels there is no bijector.

    `prior`: as TopPrior's; `by_class` (classes, 1, 1, 2C), or, where `sides`, (H, W), are given,
    (classes, H, W, 2C); `classifier`, of the means of z over pixels, or of all its numbers.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        with_border: bool = True,
        output_scale: bool = True,
        sides: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(channels, with_border, output_scale)
        self.classes = classes
        height, width = sides or (1, 1)
        self.by_class = Parameter(np.zeros((classes, height, width, 2 * channels)))
        self.classifier = Classifier(channels, classes, height * width if sides else None)
        self.labels: Array | None = None
        self.label_weight = 0.0

    def given(self, labels: Array, label_weight: float = 0.0) -> Self:
        """Return the prior of the class of each image, labels (N,), or (1,) for all images.

        label_weight: the weight of the classifier's cross-entropy, in units of log p. `backward`
        adds its gradient, times dlogdet, as if the log-likelihood of the labels were part of
        logdet.
        """
        twin = self.shallow_copy()
        twin.labels, twin.label_weight = labels, label_weight
        return twin

    def forward(self, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        mean, logs, _ = self.mean_and_logs(x)
        (m, l_y), _ = self._of_classes(x)
        logs = logs + l_y  # (N, H, W, C)
        return (x - mean - m) * xp.exp(-logs), -logs.sum(axis=(1, 2, 3), dtype=xp.float64)

    def inverse(self, y: Array) -> Array:
        mean, logs, _ = self.mean_and_logs(y)
        (m, l_y), _ = self._of_classes(y)
        return mean + m + y * namespace(y).exp(logs + l_y)

    def backward(
        self, y: Array, dy: Array, dlogdet: Array, cache: Cache = None
    ) -> tuple[Array, Array]:
        xp = namespace(y)
        mean, logs, net_cache = self.mean_and_logs(y)
        (m, l_y), chosen = self._of_classes(y)
        scale = xp.exp(logs + l_y)
        z, dz = mean + m + y * scale, dy / scale
        # as in Split: dmean = -dz, dlogs = -eps deps - dlogdet, for every image and pixel. The
        # convolution gets the sum over all images, and the row of a class the sum over its own
        # images: with (m_y, l_y) = chosen W, dW = chosen^T (dm, dl), summed over pixels.
        each = xp.concatenate(
            (-dz, -y * dy - dlogdet.astype(y.dtype)[:, None, None, None]), axis=-1
        )  # (N, H, W, 2C)
        self.prior.backward(each.sum(axis=0, keepdims=True), net_cache)
        shared = tuple(axis for axis in (1, 2) if self.by_class.value.shape[axis] == 1)
        each = each.sum(axis=shared, keepdims=True).reshape(len(y), -1)
        self.by_class.grad[...] += (chosen.T @ each).reshape(self.by_class.value.shape)
        if self.label_weight:
            dz = dz + self._of_classifier(z, dlogdet)
        return z if cache is None else cache, dz

    def initialize(self, x: Array, total: SumOverProcesses = this_process) -> Array:
        """Nothing here depends on data, and no label is needed: return y of the first class."""
        labels = namespace(x).zeros(1, int) if self.labels is None else self.labels
        return self.given(labels).forward(x)[0]

    def _of_classes(self, z: Array) -> tuple[tuple[Array, Array], Array]:
        """Return m_y and l_y of images z, (N, H, W, C) or (N, 1, 1, C) each, and the one-hot y, (N,
        K).
        """
        if self.labels is None:
            raise GlowliteError(
                f"this model has {self.classes} classes: say which one, as in model.given(3) or"
                " model.given(labels)"
            )
        if len(self.labels) not in (1, len(z)):
            raise ShapeError(f"{len(self.labels)} labels are given, but {len(z)} images or latents")
        xp = namespace(z)
        chosen = one_hot(to_device(self.labels, xp), self.classes, z.dtype)
        chosen = xp.broadcast_to(chosen, (len(z), self.classes))
        rows = self.by_class.value
        both = (chosen @ rows.reshape(self.classes, -1)).reshape(len(z), *rows.shape[1:])
        return (both[..., : self.channels], both[..., self.channels :]), chosen

    def _of_classifier(self, z: Array, dlogdet: Array) -> Array:
        """Return dz of label_weight * log q(label | z), whose own derivative is dlogdet (N,)."""
        assert self.labels is not None
        logits, cache = self.classifier.forward(z)
        xp = namespace(z)
        labels = xp.broadcast_to(to_device(self.labels, xp), (len(z),))
        _, dlogits = cross_entropy(logits, labels)
        weights = (-self.label_weight * dlogdet).astype(z.dtype)[:, None]
        return self.classifier.backward(dlogits * weights, cache)
