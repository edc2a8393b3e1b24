"""Everything that a page contains about a model: its layers, attributes, pictures, and facts."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from glowlite.arrays.backend import to_host
from glowlite.demo.description import describe, plane_order
from glowlite.demo.weights import Weights
from glowlite.flow import Flow
from glowlite.latent.directions import SMALL_SIDE, Directions
from glowlite.latent.directions import encoded as encoded_with_noise
from glowlite.latent.walks import flatten
from glowlite.models.image_model import ImageModel

TEMPERATURE = 0.7
ENCODED_AT_ONCE = 250
# the positions of the eyes of an aligned face, as fractions of its width and height: for the
# embedded faces
EYES = [[0.344, 0.406], [0.656, 0.406]]
Array = np.ndarray


@dataclass(frozen=True)
class Seen:
    """Held-out images, uint8 (N, H, W, C), their bits/dim, (N,), and their attributes, bool (N, A),
    if known.
    """

    images: Array
    bits: Array
    attributes: Array | None = None


@dataclass(frozen=True)
class PageModel:
    """`facts`: JSON values that the page's script reads. `weights`: the weights that they
    refer to.
    """

    facts: dict[str, Any]
    weights: Weights


def page_model(
    model: ImageModel,
    name: str,
    about: dict[str, str],
    directions: Directions | None = None,
    seen: Seen | None = None,
    pictures: int = 12,
) -> PageModel:
    """Collect what a page contains about a plain model of `n_bits`, whose weights were rounded to
    16 bits.

    `about`: texts about it, by label. `pictures`: how many of the images in `seen` to put into the
    page. Cost: two forward passes of each image in `seen`.
    """
    weights = Weights()
    flow, dequantizer = model.bijector, None
    if model.variational:
        flow, dequantizer = flow.flow, flow.dequantizer
    shapes = model.latent_shapes()
    of_one_class = model.given(0) if model.classes else model
    latents = None if seen is None else encoded(of_one_class, seen.images)  # (N, D)
    facts: dict[str, Any] = {
        "name": name,
        "kind": type(model).__name__,
        "image_shape": list(model.config.image_shape),
        "n_bits": model.n_bits,
        "base": type(model.base).__name__,
        "latent_shapes": [list(shape) for shape in shapes],
        "many_latents": bool(getattr(flow, "gives_list", False)),
        "classes": [str(each) for each in class_names(model)],
        "temperature": TEMPERATURE,
        "eyes": EYES,
        "noun": noun_of(directions),
        "facts": about,
        "layers": describe(flow, weights),
        "dequantizer": describe(dequantizer, weights),
        "attributes": None,
        "held_out": None,
    }
    if directions is not None:
        facts["attributes"] = _attributes(directions, shapes, weights, latents, seen)
    if seen is not None and latents is not None:
        chosen = seen.images[:pictures]
        facts["held_out"] = {
            "bits": _mean_and_deviation(seen.bits),
            "length": _mean_and_deviation(lengths(of_one_class, seen.images)),
            "images": base64.b64encode(np.ascontiguousarray(chosen).tobytes()).decode(),
            "count": len(chosen),
        }
    return PageModel(facts, weights)


def noun_of(directions: Directions | None) -> str:
    """Return what the page calls a picture. If there is an attribute for smiling, as here and in
    CelebA, it is a face; clothes and digits, whose attributes are their classes, are not.
    """
    names = () if directions is None else directions.names
    return "face" if any(name.lower() == "smiling" for name in names) else "picture"


def class_names(model: ImageModel) -> tuple[str, ...]:
    return model.class_names or tuple(map(str, range(model.classes)))


def encoded(model: Flow, images: Array) -> Array:
    """Return the latents of uint8 images in the middle of their levels, as vectors: float32
    (N, D).
    """
    parts = []
    for start in range(0, len(images), ENCODED_AT_ONCE):
        latents = model.encode(images[start : start + ENCODED_AT_ONCE])
        parts.append(to_host(flatten(latents)).astype(np.float32))
    return np.concatenate(parts)


def lengths(model: Flow, images: Array) -> Array:
    """Return |z| of uint8 images, dequantised with noise as in training: (N,)."""
    return np.sqrt(np.square(encoded_with_noise(model, images)).sum(axis=1))


def _attributes(
    directions: Directions,
    shapes: list[tuple[int, ...]],
    weights: Weights,
    latents: Array | None,
    seen: Seen | None,
) -> dict[str, Any]:
    """Return names, directions, and the positions of the seen images along them."""
    held = directions.given.shape[2] > 0
    given = weights.add("given", plane_order(directions.given, shapes)) if held else None
    positions = None
    if latents is not None and seen is not None and seen.attributes is not None:
        positions = [
            _positions(latents, direction, seen.attributes[:, j])
            for j, direction in enumerate(directions.mean)
        ]
    return {
        "names": list(directions.names),
        "held": held,
        "positions": positions,
        "directions": {
            "names": list(directions.names),
            "mean": weights.add("mean", plane_order(directions.mean, shapes)),
            "given": given,
            "reach": [float(reach) for reach in directions.reach],
            "reader": weights.add("reader", directions.reader, "float32"),
            "side": SMALL_SIDE,
        },
    }


def _positions(latents: Array, direction: Array, holds: Array) -> dict[str, Any] | None:
    """Return mean and standard deviation of (z . d) / |d|^2 for the images without an attribute and
    for those with it; None unless there are two of each.
    """
    along = latents @ (direction / (direction @ direction))
    if min(holds.sum(), (~holds).sum()) < 2:
        return None
    return {
        "without": _mean_and_deviation(along[~holds]),
        "with": _mean_and_deviation(along[holds]),
    }


def _mean_and_deviation(numbers: Array) -> list[float]:
    deviation = float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0
    return [float(numbers.mean()), deviation]
