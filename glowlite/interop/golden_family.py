"""Check a RealNVP or NICE of another code: log-likelihood, latents, gradients, samples, running
statistics after a batch, and preprocessing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from glowlite.arrays.batch_statistics import in_training
from glowlite.bijectors.base import backward, forward_with_cache
from glowlite.bijectors.trace import as_list
from glowlite.errors import GlowliteError
from glowlite.interop.comparison import Report, relative_error, under
from glowlite.interop.nice import NICEKind
from glowlite.interop.realnvp_kind import RealNVPKind, SignedLength
from glowlite.interop.rules import Tensors
from glowlite.interop.weights import from_weights, rules_of, their_gradients, their_statistics
from glowlite.models.image_model import ImageModel
from glowlite.objective import bits_per_dim, dequantize, loss_gradients

FamilyKind = RealNVPKind | NICEKind
IN_FLOAT64 = {
    "log_prob": 1e-10,
    "latents": 1e-10,
    "gradients": 1e-8,
    "zero gradients": 1e-13,
    "grad_x": 1e-8,
    "statistics": 1e-10,
    "samples": 1e-10,
    "preprocessing": 1e-10,
}
IN_FLOAT32 = {
    "log_prob": 1e-5,
    "latents": 1e-5,
    "gradients": 1e-4,
    "zero gradients": 1e-6,
    "grad_x": 1e-4,
    "statistics": 1e-5,
    "samples": 1e-5,
    "preprocessing": 1e-5,
}
# In training, the next batch normalisation removes the effect of a convolution's bias, and that of
# a kernel's length. So the loss depends on neither, except through eps.
BEFORE_A_NORM = re.compile(
    r".*/(conv_in|skip_in|blocks/\d+/(conv2|skip))/bias|.*/blocks/\d+/conv1/g"
)


class Against:
    """The arrays of a golden file; `note` compares one of ours with them."""

    def __init__(self, kind: FamilyKind, contents: Tensors) -> None:
        self.kind, self.contents = kind, contents
        self.errors: dict[str, dict[str, float]] = {}
        self.limits: dict[str, float] = {}

    def numbers(self, name: str) -> np.ndarray:
        """Return this array in float64, from their float64 run if there is one."""
        return self._stored(name).astype(np.float64)

    def data(self, name: str) -> np.ndarray:
        """Return the same for samples: images (N, H, W, C), or vectors (N, D)."""
        return self.kind.images(name, self.numbers(name))

    def note(self, quantity: str, name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        least_scale = np.inf if quantity == "zero gradients" else 0.0
        error = relative_error(name, ours, theirs, least_scale)
        self.errors.setdefault(quantity, {})[name] = error
        exact = self._stored(name).dtype.kind != "f" or self._stored(name).dtype == np.float64
        limit = (IN_FLOAT64 if exact else IN_FLOAT32)[quantity]
        self.limits[quantity] = max(limit, self.limits.get(quantity, 0.0))

    def _stored(self, name: str) -> np.ndarray:
        if name not in self.contents:
            raise GlowliteError(f"there is no {name}")
        return self.contents.get(f"float64/{name}", self.contents[name])


def compare(
    kind: FamilyKind,
    contents: Tensors,
    metadata: dict[str, str],
    tensors: Tensors,
    overrides: dict[str, Any],
) -> Report:
    """Those codes computed with the flow after the preprocessing, so that is what is compared."""
    there = Against(kind, contents)
    x = there.data("x")
    size = (x.shape[1], x.shape[2]) if x.ndim == 4 else (1, x.shape[1])
    model = from_weights(tensors, kind.name, size, dtype="float64", **overrides)
    is_training = metadata.get("mode") == "train"
    log_prob = _passes(there, model, x, is_training)
    _gradients(there, model, tensors, is_training)
    if "sample/z" in contents:
        z = kind.parted(there.data("sample/z"), model.config)
        sample = model.bijector.flow.inverse(z if model.bijector.gives_list else z[0])
        there.note("samples", "sample/x", sample, there.data("sample/x"))
    if is_training:
        _statistics(there, model, tensors)
    if "x_pre" in contents:
        _preprocessing(there, model, x, log_prob)
    note = (
        "; results that also ran in float64 are compared with those"
        if "float64/z" in contents
        else ""
    )
    return Report(kind, there.errors, there.limits, note)


def _passes(there: Against, model: ImageModel, x: np.ndarray, is_training: bool) -> np.ndarray:
    """Return log p(x) (N,) from a forward pass, then run a backward pass, which adds gradients."""
    flow = model.bijector.flow
    with in_training(flow) if is_training else nullcontext():
        y, logdet, cache = forward_with_cache(flow, x)
        latents = as_list(y)
        dlatents, dlogdet = loss_gradients(latents, len(x), model.base)
        dy = dlatents if model.bijector.gives_list else dlatents[0]
        _, dx = backward(flow, y, dy, dlogdet, cache)
    log_prob: np.ndarray = logdet + model.base.log_prob(latents)
    loss = bits_per_dim(log_prob, x[0].size, None).mean(keepdims=True)
    for name, ours in (("log_prob", log_prob), ("logdet", logdet), ("loss", loss)):
        there.note("log_prob", name, ours, there.numbers(name))
    there.note("latents", "z", there.kind.joined(latents), there.data("z"))
    there.note("grad_x", "grad_x", dx, there.data("grad_x"))
    return log_prob


def _gradients(there: Against, model: ImageModel, tensors: Tensors, is_training: bool) -> None:
    gradients = their_gradients(model, tensors, there.kind.name)
    if unmatched := sorted(set(gradients) ^ set(under("grad/", there.contents))):
        raise GlowliteError(f"grad/{unmatched[0]} is missing or unexpected")
    zero = set(zero_gradients(model, there.kind, is_training))
    for name, gradient in gradients.items():
        quantity = "zero gradients" if name in zero else "gradients"
        there.note(quantity, f"grad/{name}", gradient, there.numbers(f"grad/{name}"))


def zero_gradients(model: ImageModel, kind: FamilyKind, is_training: bool) -> Iterator[str]:
    """Yield their tensors whose gradient is zero in exact arithmetic, or acts only through eps."""
    normalises = is_training and getattr(model.config, "batch_norm", False)
    for rule in rules_of(model, kind):
        if isinstance(rule, SignedLength):
            yield rule.theirs[1]
        elif normalises and BEFORE_A_NORM.fullmatch(rule.ours):
            yield rule.theirs[0]


def _statistics(there: Against, model: ImageModel, tensors: Tensors) -> None:
    """Compare the running statistics after one update, as with an update of the weights."""
    model.store.running += model.store.change
    ours = their_statistics(model, tensors, there.kind.name, batches=1)
    idle = there.kind.idle_tensors(model.config)
    after = under("after/", there.contents)
    if unmatched := sorted(name for name in set(ours) ^ set(after) if name not in idle):
        raise GlowliteError(f"after/{unmatched[0]} is missing or unexpected")
    for name in ours:
        if name in after:
            there.note("statistics", f"after/{name}", ours[name], there.numbers(f"after/{name}"))


def _preprocessing(there: Against, model: ImageModel, x: np.ndarray, log_prob: np.ndarray) -> None:
    """Check the steps from `x_raw` to `x_pre`, and from that to `x`, whose log-determinant is
    known.
    """
    kind, contents, D = there.kind, there.contents, x[0].size
    x_pre, pre_logdet = there.data("x_pre"), there.numbers("pre_logdet")
    if x_pre.shape != x.shape or pre_logdet.shape != (len(x),):
        raise GlowliteError(f"x_pre and pre_logdet must have shapes {x.shape} and ({len(x)},)")
    if "x_raw" in contents and "noise" in contents and kind.white is not None:
        pixels = np.rint(there.data("x_raw") * (255 / kind.white)).astype(np.uint8)
        dequantised = dequantize(pixels, 8, there.data("noise")) + 0.5
        there.note("preprocessing", "x_pre", dequantised, x_pre)
    images = x_pre.reshape(-1, *model.config.image_shape) - 0.5
    ours, logdet = model.bijector.before.forward(images)
    if isinstance(kind, NICEKind):
        # these files rescale the data: x = factor (x_pre - centre), and pre_logdet = D log factor
        centre = 0.0 if model.config.input == "whitened" else 0.5
        ours = np.exp(pre_logdet / D)[:, None] * (ours - centre)
    else:
        there.note("preprocessing", "pre_logdet", logdet, pre_logdet)
    there.note("preprocessing", "x", ours, x)
    if "bits_per_dim_raw" in contents:
        bits = bits_per_dim(log_prob + logdet, D, 8).mean(keepdims=True)
        there.note("preprocessing", "bits_per_dim_raw", bits, there.numbers("bits_per_dim_raw"))
