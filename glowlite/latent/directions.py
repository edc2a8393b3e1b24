r"""Directions in latent space that change one attribute of an image (section 5, figure 6), computed
from labelled images.

`mean`, as in the paper: with z_pos, z_neg the mean latents of the images with attribute j and of
those without it,

    d_j = z_pos - z_neg        z' = z + alpha d_j

Along d_j other attributes change too (a hat removes the long hair under it). And alpha = 1 is not
enough: it moves a face only to the mean of the other kind, and half of that kind lies beyond the
mean. The method `held`, for which alpha = 1 is enough, is

    z' = z + alpha r_j d_j + |alpha| sum_{k != j} s_k d_{k|j}
    r_j = 1 + 3 sigma_j,   s_k = 1 if k holds, else -1

sigma_j: the standard deviation of latents of one kind along d_j, in units of d_j. With this r_j,
only one face in a thousand stays short of the mean of the other kind. The sum keeps every other
attribute k as it is, by moving along d_{k|j}, the difference for k among images that have, in j,
the value that this image will get: for example, long hair as it looks under a hat. An attribute
that never varies there (dark glasses on people without glasses) is left out. s_k is read from the
pixels by linear least squares. docs/editing.md reports what each part gains, and what else was
tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.arrays.arguments import real_number, shown
from glowlite.arrays.backend import namespace, to_device, to_host
from glowlite.errors import GlowliteError, ShapeError
from glowlite.latent.walks import Latents, attribute_direction, flatten, unflatten
from glowlite.objective import as_continuous, dequantization_noise

if TYPE_CHECKING:
    from glowlite.flow import Flow

ENOUGH = 1.0  # alpha that changes 9 of 10 faces by method held, see docs/editing.md
METHODS = ("held", "mean")
MAX_HELD = 10  # largest number of attributes: `held` needs two directions for every pair
DEVIATIONS = 3.0  # standard deviations beyond the mean of the other kind
SMALL_SIDE = 16  # in pixels: images are shrunk to this side before attributes are read from them
RIDGE = 1.0  # ridge penalty on the weights of pixels in [-0.5, 0.5]
AT_ONCE = 256  # images encoded at a time


@dataclass(frozen=True)
class Directions:
    """What `edit` needs from a model and labelled data, on the host, in float32.

    D: number of components of all latents. `mean` (A, D): d_j. `given` (A, 2, A, D): d_{k|j} at [j,
    whether j is to be added, k], zero if there is none; (A, 2, 0, D) for more than MAX_HELD
    attributes. `reach` (A,): r_j. `reader` (pixels + 1, A): weights of `states`. `counts` (A,): how
    many of the `images` images have each attribute.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    given: np.ndarray
    reach: np.ndarray
    reader: np.ndarray
    counts: np.ndarray
    images: int

    @classmethod
    def from_images(
        cls, model: Flow, images: np.ndarray, attributes: np.ndarray, names: Sequence[str]
    ) -> Directions:
        """Compute the directions from uint8 images (N, H, W, C) and bool attributes (N, A) with
        their names.

        Images are dequantised with noise, as in training: directions from the middles of levels are
        worse. Cost: N forward passes.
        """
        if not names:
            raise GlowliteError(
                "these data have no attributes: directions are computed from labelled images,"
                " such as faces"
            )
        images = check_pixels("Directions.from_images", images)
        attributes = np.asarray(attributes)
        if attributes.dtype != bool or attributes.shape != (len(images), len(names)):
            raise ShapeError(
                f"Directions.from_images: attributes must be bool {(len(images), len(names))},"
                f" one row per image and one column per name, got {attributes.dtype}"
                f" {attributes.shape}"
            )
        counts = attributes.sum(axis=0)
        for name, count in zip(names, counts, strict=True):
            if not 0 < count < len(images):
                raise GlowliteError(
                    f"attribute {name}: {count} of {len(images)} images have it; a direction needs"
                    " both kinds"
                )
        z = encoded(model, images)
        pairs = len(names) if len(names) <= MAX_HELD else 0
        given = np.zeros((len(names), 2, pairs, z.shape[1]), np.float32)
        for j in range(len(names)):
            for value in (0, 1):
                there = attributes[:, j] == value
                for k in range(pairs):
                    labels = attributes[there, k]
                    if k != j and labels.any() and not labels.all():
                        given[j, value, k] = _difference(z[there], labels)
        mean = np.stack([_difference(z, attributes[:, j]) for j in range(len(names))])
        reach = np.array(
            [_reach(z, mean[j], attributes[:, j]) for j in range(len(names))], np.float32
        )
        features = _features(images)
        gram = features.T @ features + RIDGE * np.eye(features.shape[1])
        reader = np.linalg.solve(gram, features.T @ (2.0 * attributes - 1.0)).astype(np.float32)
        return cls(tuple(names), mean, given, reach, reader, counts, len(images))

    def states(self, images: np.ndarray) -> np.ndarray:
        """Return +1 where an attribute is predicted from uint8 images (N, H, W, C), else -1:
        float32 (N, A).
        """
        features = _features(check_pixels("Directions.states", images))
        if features.shape[1] != len(self.reader):
            raise ShapeError(
                "Directions.states: these directions are for images of another size than"
                f" {images.shape[1:]}"
            )
        return np.where(features @ self.reader > 0, 1, -1).astype(np.float32)

    def index(self, name: str) -> int:
        if name not in self.names:
            raise GlowliteError(f"attribute {name!r}: the attributes are {', '.join(self.names)}")
        return self.names.index(name)

    def changes(
        self, states: np.ndarray, alphas: Mapping[str, float], method: str = "held"
    ) -> np.ndarray:
        """Return what to add to flat latents, float32 (N, D), to change attributes of images of
        `states` (N, A).

        alphas: how far to move, by name; positive adds the attribute, negative removes it.
        """
        if method not in METHODS:
            raise GlowliteError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if method == "held" and not self.given.shape[2]:
            raise GlowliteError(
                f"method held supports at most {MAX_HELD} attributes, but there are"
                f" {len(self.names)}; use mean"
            )
        edited = {
            self.index(name): real_number(
                "Directions.changes", f"alpha of {name}", alpha, -math.inf
            )
            for name, alpha in alphas.items()
        }
        if states.shape[1:] != (len(self.names),):
            raise ShapeError(
                f"Directions.changes: states must be (N, {len(self.names)}), got {states.shape}"
            )
        total = np.zeros((len(states), self.mean.shape[1]), np.float32)
        for j, alpha in edited.items():
            reach = self.reach[j] if method == "held" else 1.0
            total += np.float32(alpha * reach) * self.mean[j]
            if method == "held":
                others = [k for k in range(len(self.names)) if k not in edited]
                hold = np.float32(abs(alpha) / len(edited))
                total += hold * (states[:, others] @ self.given[j, int(alpha > 0), others])
        return total

    def edit(
        self,
        latents: Latents,
        states: np.ndarray,
        alphas: Mapping[str, float],
        method: str = "held",
    ) -> Latents:
        """Return latents (N, h, w, c) of either backend, moved as `changes` says."""
        xp = namespace(latents[0])
        change = to_device(self.changes(states, alphas, method), xp).astype(latents[0].dtype)
        shapes: list[Any] = [z.shape[1:] for z in latents]
        return [z + d for z, d in zip(latents, unflatten(change, shapes), strict=True)]


def decode_edits(
    model: Flow,
    directions: Directions,
    images: np.ndarray,
    names: list[str],
    alphas: np.ndarray,
    method: str,
) -> np.ndarray:
    """Return floating-point images (N, steps, H, W, C) on the host: uint8 images (N, H, W, C),
    edited with each of `alphas`.
    """
    latents, states = model.encode(images), directions.states(images)
    columns = [
        to_host(
            model.decode(
                directions.edit(latents, states, dict.fromkeys(names, float(alpha)), method)
            )
        )
        for alpha in alphas
    ]
    return np.stack(columns, axis=1)


def encoded(model: Flow, images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the latents of uint8 images, dequantised with noise from `seed`, as vectors on the
    host: float32 (N, D).
    """
    if model.n_bits is None:
        raise GlowliteError(
            "Directions: uint8 images need n_bits, but this model has none; set model.n_bits"
        )
    parts = []
    for start in range(0, len(images), AT_ONCE):
        part = images[start : start + AT_ONCE]
        noise = dequantization_noise(seed, "directions", 0, start, part.shape, model.dtype.name)
        x = as_continuous(part, model.n_bits, noise, model.dtype, model.xp, model.variational)
        latents, _ = model.forward(model.dequantized(x, model.n_bits))
        parts.append(to_host(flatten(latents)).astype(np.float32))
    return np.concatenate(parts)


def check_pixels(where: str, images: Any) -> np.ndarray:
    """Return the images if they are uint8 (N, H, W, C) on the host; otherwise raise ShapeError."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        raise ShapeError(
            f"{where}: expected uint8 images (N, H, W, C) on the host, got {shown(images)}"
        )
    return images


def _difference(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.asarray(attribute_direction([z], labels)[0][0])


def _reach(z: np.ndarray, d: np.ndarray, labels: np.ndarray) -> float:
    """Return r: 1 plus DEVIATIONS standard deviations of the two kinds along d, in units in which
    the two means are 1 apart, (z . d) / |d|^2.
    """
    along = z @ (d / (d @ d))
    return 1 + DEVIATIONS * float(np.sqrt((along[labels].var() + along[~labels].var()) / 2))


def _features(images: np.ndarray) -> np.ndarray:
    """Return pixels in [-0.5, 0.5] of uint8 images (N, H, W, C), shrunk by averaging blocks, and a
    last column of ones, float64.
    """
    n, h, w, c = images.shape
    by_y, by_x = max(1, h // SMALL_SIDE), max(1, w // SMALL_SIDE)
    blocks = images[:, : h // by_y * by_y, : w // by_x * by_x].reshape(
        n, h // by_y, by_y, w // by_x, by_x, c
    )
    small = blocks.mean(axis=(2, 4), dtype=np.float64).reshape(n, -1) / 255 - 0.5
    return np.concatenate((small, np.ones((n, 1))), axis=1)
