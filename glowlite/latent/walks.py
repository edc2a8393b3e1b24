r"""Walks and directions in latent space (section 5, figures 5, 6): latents are lists of arrays (N,
h, w, c), one per level.

    linear      z(t) = (1 - t) a + t b
    spherical   z(t) = (sin((1 - t) w) a + sin(t w) b) / sin w
                w: the angle between a and b, levels as one vector

Halfway between two independent latents, a linear walk has 1/sqrt(2) of their length, as if drawn at
temperature 0.7. A spherical walk preserves the length, and with it the look of a sample at
temperature 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.arguments import shown, whole_number
from glowlite.arrays.backend import Array, Namespace, namespace, to_host
from glowlite.errors import GlowliteError, ShapeError

if TYPE_CHECKING:
    from glowlite.flow import Flow

Latents = list[Array]

AT_ONCE = 256  # images decoded at a time
# an angle: below it, a and b lie on one line, and the walk between them is linear
SMALLEST_SINE = 1e-6


def interpolate(a: Latents, b: Latents, steps: int, spherical: bool = False) -> Latents:
    """Return `steps` latents from each of a to its partner in b, including both ends: (N steps, h,
    w, c) per level, pair by pair.

    The ends are exactly a and b. If a and b point in the same or in opposite directions, a
    spherical walk is linear. Raises ShapeError for latents of different shapes, GlowliteError for
    fewer than 2 steps. Cost: `steps` copies of a.
    """
    check_pair(a, b)
    if whole_number("interpolate", "steps", steps) < 2:
        raise GlowliteError(f"interpolate: steps must be at least 2, the two ends, got {steps}")
    xp = namespace(a[0])
    t = xp.linspace(0.0, 1.0, steps)[None]  # (1, steps)
    from_a, from_b = _arcs(a, b, t, xp) if spherical else (1 - t, t)  # (N or 1, steps)
    return [_weighted(one, other, from_a, from_b) for one, other in zip(a, b, strict=True)]


def four_corners(
    a: Latents,
    b: Latents,
    c: Latents,
    d: Latents,
    rows: int,
    columns: int | None = None,
    spherical: bool = False,
) -> Latents:
    """Return a sheet between a (top left), b (top right), c (bottom left) and d: (N rows columns,
    h, w, c) per level, row by row.

    It consists of two walks down the sides, and walks from each point of one to its partner in the
    other. `columns`: by default equal to rows.
    """
    left, right = interpolate(a, c, rows, spherical), interpolate(b, d, rows, spherical)
    return interpolate(left, right, columns or rows, spherical)


def decode_walk(model: Flow, ends: np.ndarray, steps: int, spherical: bool = False) -> np.ndarray:
    """Return the images between uint8 images `ends` (2 or 4, H, W, C): floating-point (1 or steps,
    steps, H, W, C).

    They are on the host. Two ends give a strip; four are the corners of a sheet, row by row. Cost:
    an inverse pass for every image.
    """
    latents = model.encode(ends)
    parts = [[z[i : i + 1] for z in latents] for i in range(len(ends))]
    if len(parts) == 2:
        way = interpolate(parts[0], parts[1], steps, spherical)
    else:
        way = four_corners(parts[0], parts[1], parts[2], parts[3], steps, steps, spherical)
    blocks = range(0, len(way[0]), AT_ONCE)
    images = np.concatenate(
        [to_host(model.decode([z[i : i + AT_ONCE] for z in way])) for i in blocks]
    )
    return images.reshape(-1, steps, *images.shape[1:])


def attribute_direction(latents: Latents, labels: Array) -> Latents:
    """Return d, the mean of the latents (N, h, w, c) whose label is true minus the mean of the
    others: (1, h, w, c) per level.

    labels: bool (N,), of the same backend as the latents. Raises GlowliteError unless both kinds
    occur.
    """
    xp = check_latents("attribute_direction", latents)
    is_bool = getattr(getattr(labels, "dtype", None), "kind", "") == "b"
    if not is_bool or labels.shape != (len(latents[0]),) or namespace(labels) is not xp:
        raise ShapeError(
            f"attribute_direction: labels must be a bool array ({len(latents[0])},) of"
            f" {xp.__name__}, got {shown(labels)}"
        )
    positive = labels.sum()
    if not 0 < int(positive) < len(labels):
        raise GlowliteError(
            f"attribute_direction: {int(positive)} of {len(labels)} images have the attribute;"
            " both kinds are needed"
        )
    weights = xp.where(labels, 1.0 / positive, -1.0 / (len(labels) - positive))
    return [
        (weights.astype(z.dtype) @ z.reshape(len(z), -1)).reshape(1, *z.shape[1:]) for z in latents
    ]


def flatten(latents: Latents) -> Array:
    """Return (N, D): every latent as one vector, level after level."""
    return check_latents("flatten", latents).concatenate(
        [z.reshape(len(z), -1) for z in latents], axis=1
    )


def unflatten(vectors: Array, shapes: Sequence[tuple[int, int, int]]) -> Latents:
    """The inverse of `flatten`: vectors (N, D) -> latents of `shapes`, (h, w, c) per level:
    `config.latent_shapes()`.

    Raises ShapeError if D is not the sum of their sizes.
    """
    sizes = [prod(shape) for shape in shapes]
    if not hasattr(vectors, "ndim"):
        raise ShapeError(f"unflatten: expected an array (N, {sum(sizes)}), got {shown(vectors)}")
    if vectors.ndim != 2 or vectors.shape[1] != sum(sizes):
        raise ShapeError(
            f"unflatten: expected vectors (N, {sum(sizes)}) for latents {list(shapes)}, got"
            f" {vectors.shape}"
        )
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [
        vectors[:, start : start + size].reshape(-1, *shape)
        for start, size, shape in zip(starts, sizes, shapes, strict=True)
    ]


def finite(images: Array) -> Array:
    """Return which images (N, ...) are completely finite, bool (N,), in their own backend.

    An inverse can overflow.
    """
    return namespace(images).isfinite(images).reshape(len(images), -1).all(axis=1)


def check_pair(a: Latents, b: Latents) -> None:
    """Raise ShapeError unless a and b have the same levels, shapes and backend."""
    for latents in (a, b):
        check_latents("interpolate", latents)
    shapes = [[tuple(z.shape) for z in latents] for latents in (a, b)]
    if shapes[0] != shapes[1]:
        raise ShapeError(
            f"interpolate: expected two latents of the same shapes, got {shapes[0]} and {shapes[1]}"
        )
    if namespace(a[0]) is not namespace(b[0]):
        raise ShapeError(
            f"interpolate: one latent is an array of {namespace(a[0]).__name__}, the other of"
            f" {namespace(b[0]).__name__}"
        )


def check_latents(where: str, latents: Any) -> Namespace:
    """Return the backend of the latents.

    Raises ShapeError unless they are a list of arrays (N, ...), one per level, with the same N.
    """
    is_list = isinstance(latents, (list, tuple)) and len(latents) > 0
    if not is_list or not all(hasattr(z, "shape") and getattr(z, "ndim", 0) for z in latents):
        raise ShapeError(
            f"{where}: expected latents, a list of arrays (N, h, w, c), one per level, got"
            f" {shown(latents)}"
        )
    if len({len(z) for z in latents}) != 1:
        raise ShapeError(
            f"{where}: expected the same number of images in every level, got"
            f" {[len(z) for z in latents]}"
        )
    return namespace(latents[0])


def _arcs(a: Latents, b: Latents, t: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return the two weights of a spherical walk at t (1, steps), each (N, steps), float64."""
    one, other = (flatten(latents).astype(xp.float64) for latents in (a, b))
    lengths = xp.sqrt(xp.square(one).sum(axis=1) * xp.square(other).sum(axis=1))
    cosine = (one * other).sum(axis=1) / xp.where(lengths > 0, lengths, 1.0)
    angle = xp.arccos(xp.clip(cosine, -1.0, 1.0))[:, None]  # (N, 1)
    sine = xp.sin(angle)
    on_a_line = sine < SMALLEST_SINE
    sine = xp.where(on_a_line, 1.0, sine)
    return (
        xp.where(on_a_line, 1 - t, xp.sin((1 - t) * angle) / sine),
        xp.where(on_a_line, t, xp.sin(t * angle) / sine),
    )


def _weighted(a: Array, b: Array, from_a: Array, from_b: Array) -> Array:
    """Return from_a a + from_b b for weights (N or 1, steps): (N steps, ...), in the dtype of a."""
    axes = [1] * (a.ndim - 1)
    weights = [w.astype(a.dtype).reshape(*w.shape, *axes) for w in (from_a, from_b)]
    between = weights[0] * a[:, None] + weights[1] * b[:, None]  # (N, steps, ...)
    between[:, 0], between[:, -1] = a, b  # 1 a + 0 b is not a where b is infinite, or a is -0
    return between.reshape(-1, *a.shape[1:])
