"""A data set in memory: training and held-out images, uint8 (N, H, W, C), and how the two were parted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glowlite.errors import DataError
from glowlite.randomness import generator

HELD_OUT_MOST = 1000


@dataclass(frozen=True)
class Dataset:
    """`train`, `held_out`: uint8 (N, H, W, C), disjoint. `name` names runs; `source` says where the images came from."""

    name: str
    train: np.ndarray
    held_out: np.ndarray
    source: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels = self.train.shape[1:]
        return height, width, channels


def held_out_indices(count: int) -> np.ndarray:
    """Which of `count` images are held out: a tenth, at least 1 and at most 1000, sorted.

    It depends on the number of images alone, so that training, evaluation and resumed runs agree.
    """
    size = min(max(1, count // 10), HELD_OUT_MOST)
    return np.sort(generator(0, "held out", count).permutation(count)[:size])


def make_dataset(name: str, images: np.ndarray, source: str) -> Dataset:
    """Check `images`, uint8 (N, H, W, C) or, for grey ones, (N, H, W), and part them. Raises DataError."""
    if images.dtype != np.uint8:
        raise DataError(
            f"{source}: expected images of uint8, 0..255, got {images.dtype}; convert them, e.g. (255 * x).astype('uint8')"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise DataError(f"{source}: expected images (N, H, W, C) or (N, H, W), got an array of shape {images.shape}")
    if 0 in images.shape or len(images) < 2:
        raise DataError(f"{source}: expected at least 2 images that are not empty, got an array of shape {images.shape}")
    held_out = held_out_indices(len(images))
    keep = np.ones(len(images), bool)
    keep[held_out] = False
    return Dataset(name, images[keep], images[held_out], source)
