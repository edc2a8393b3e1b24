"""The batches of a run: the choice of images, their augmentation and their noise are functions of
the seed and the step.

So a run that is resumed at step s sees the same batches as without a break, and the order of images
need not be saved.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from glowlite.arrays.randomness import generator, uniform
from glowlite.data.images import Images
from glowlite.errors import GlowliteError
from glowlite.objective import dequantization_noise

T = TypeVar("T")

AHEAD = 4  # decoded batches that wait for training


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images. flip: mirror left to right, with probability 1/2. shift:
    by up to this fraction of H and of W.

    Pixels that a shift leaves empty repeat the edge of the image. The random crops of a Preparation
    are also drawn here.
    """

    flip: bool = False
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shift < 1:
            raise GlowliteError(
                "shift is a fraction of a side and must be at least 0 and less than 1, got"
                f" {self.shift}"
            )

    def apply(self, images: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """images uint8 (N, H, W, C), draws U[0, 1) (N, 3): flip, shift down, shift right."""
        height, width = images.shape[1:3]
        if self.flip:
            images = np.where((draws[:, 0] < 0.5)[:, None, None, None], images[:, :, ::-1], images)
        if self.shift:
            rows = _sources(height, self.shift, draws[:, 1])[:, :, None]
            columns = _sources(width, self.shift, draws[:, 2])[:, None, :]
            images = images[np.arange(len(images))[:, None, None], rows, columns]
        return images


def _sources(side: int, shift: float, draws: np.ndarray) -> np.ndarray:
    """Return, for each image and each position along a side, the source position: (N, side)."""
    most = int(shift * side)
    moved = np.floor(draws * (2 * most + 1)).astype(int) - most  # -most .. most, all equally likely
    return np.clip(np.arange(side) - moved[:, None], 0, side - 1)


@dataclass(frozen=True)
class Batch:
    """Batch number `step`: uint8 images (N, H, W, C), and noise U[0, 1) of their shape for
    dequantisation.

    For floating-point data (N, ...), which are used as they are, `noise` is None. `labels` (N,):
    the class of each image, for a model with classes.
    """

    step: int
    images: np.ndarray
    noise: np.ndarray | None
    labels: np.ndarray | None = None


def batches(
    images: Images,
    batch: int,
    first: int,
    last: int,
    seed: int,
    dtype: str,
    augmentation: Augmentation | None = None,
    share: slice | None = None,
    labels: np.ndarray | None = None,
) -> Iterator[Batch]:
    """Yield the batches of steps first .. last - 1, in the shuffled order of their epochs.

    Images at the end of an epoch that do not fill a batch are left out. `share`: which images of
    each batch to read, for a batch that is split over processes; by default all of them. `labels`
    (N,): the labels of all images.
    """
    augmentation = augmentation or Augmentation()
    share = share or slice(0, batch)
    steps_per_epoch = len(images) // batch
    shuffled = -1
    for step in range(first, last):
        epoch, position = divmod(step, steps_per_epoch)
        if epoch != shuffled:
            order = generator(seed, "shuffle", epoch).permutation(len(images))
            shuffled = epoch
        rows = order[position * batch : (position + 1) * batch][share]
        classes = None if labels is None else labels[rows]
        draws = uniform(seed, "augment", step, share.start, (len(rows), 5), "float64")
        part = images.read(rows, draws[:, 3:])
        if part.dtype.kind == "f":
            yield Batch(step, part.astype(dtype), None, classes)
            continue
        part = np.ascontiguousarray(augmentation.apply(part, draws))
        yield Batch(
            step,
            part,
            dequantization_noise(seed, "dequantise", step, share.start, part.shape, dtype),
            classes,
        )


def ahead(items: Iterator[T], depth: int = AHEAD) -> Generator[T, None, None]:
    """Yield the same items, but compute up to `depth` of them ahead, in a separate thread.

    Exceptions of that thread are raised here. Close or delete the generator to end the thread.
    """
    waiting: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(depth)
    closed = threading.Event()

    def put(kind: str, item: T | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                waiting.put((kind, item), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        # any exception is raised for the caller of the next item
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=work, name="batches ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(item, BaseException)
                raise item
            yield item  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()
