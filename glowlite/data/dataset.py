"""A data set: training and held-out images, and how they were split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glowlite.arrays.conversion import shape_advice, value_advice
from glowlite.arrays.labels import NO_LABELS
from glowlite.arrays.machine import available_bytes
from glowlite.arrays.randomness import generator
from glowlite.data.images import ArrayImages, ArrayPictures, Images, Pictures, Rows
from glowlite.data.preparation import ROOM, Preparation, Prepared
from glowlite.errors import DataError

MAX_HELD_OUT = 1000
BYTES_A_ROW = 32  # of numbers, to split and shuffle images, however small they are
LEFT_OUT = "labels left out: "  # the beginning of a note that says why labels were left out
NO_ATTRIBUTES = np.zeros((0, 0), bool)


@dataclass(frozen=True)
class Reading:
    """What a reader found: `train`, and `held_out` if the data have their own split.

    `attribute_names`, `attributes`, `held_out_attributes`: names (A,) and which attributes each
    image has, bool (N, A). `class_names` (K,), `labels`, `held_out_labels` (N,): the class of each
    image, as it was read: see `conditioned`. `notes`: decisions made while reading, and files that
    were skipped, one line each.
    """

    train: Images | Pictures
    held_out: Images | Pictures | None = None
    attribute_names: tuple[str, ...] = ()
    attributes: np.ndarray = field(default_factory=NO_ATTRIBUTES.copy)
    held_out_attributes: np.ndarray = field(default_factory=NO_ATTRIBUTES.copy)
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    labels: np.ndarray = field(default_factory=NO_LABELS.copy)
    held_out_labels: np.ndarray = field(default_factory=NO_LABELS.copy)


@dataclass(frozen=True)
class Dataset:
    """`train`, `held_out`: images of one shape, disjoint.

    `name` is used in names of runs; `source` says where the images came from. `attribute_names`
    (A,), `attributes` and `held_out_attributes`, bool (N, A): which attributes each image has, if
    the data say so. `class_names` (K,), `labels` and `held_out_labels` (N,): its class, as it was
    read, or, if `condition` names the labels that a model is conditioned on, int64 from 0 to K - 1.
    `decided`: the reader's decisions, one line each.
    """

    name: str
    train: Images
    held_out: Images
    source: str
    attribute_names: tuple[str, ...] = ()
    attributes: np.ndarray = field(default_factory=NO_ATTRIBUTES.copy)
    held_out_attributes: np.ndarray = field(default_factory=NO_ATTRIBUTES.copy)
    decided: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    labels: np.ndarray = field(default_factory=NO_LABELS.copy)
    held_out_labels: np.ndarray = field(default_factory=NO_LABELS.copy)
    condition: str | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.shape

    @property
    def skipped(self) -> list[str]:
        """One line per image that was found damaged so far and skipped."""
        return list(dict.fromkeys(self.train.skipped + self.held_out.skipped))

    @property
    def notes(self) -> list[str]:
        """Decisions about the data, skipped files, and changes to their pictures so far, one line
        each.
        """
        parts = [
            part.images if isinstance(part, Rows) else part for part in (self.train, self.held_out)
        ]
        done = sum(
            (part.done for part in {id(part): part for part in parts}.values()), Counter[str]()
        )
        return [
            *self.decided,
            *(f"{what}: {number_of(count, 'picture')}" for what, count in done.items()),
        ]


def number_of(count: int, what: str) -> str:
    """Write a count as `1 picture` or `2 pictures`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def held_out_indices(count: int) -> np.ndarray:
    """Choose which of `count` images are held out: a tenth, at least 1 and at most 1000, sorted.

    It depends only on the number of images, so that training, evaluation and resumed runs agree.
    """
    size = min(max(1, count // 10), MAX_HELD_OUT)
    return np.sort(generator(0, "held out", count).permutation(count)[:size])


def make_dataset(
    name: str,
    reading: Reading,
    source: str,
    preparation: Preparation | None = None,
    processes: int = 1,
) -> Dataset:
    """Prepare what was read, and split it unless it already has two parts.

    Raises DataError. `processes`: see `load`.
    """
    preparation = preparation or Preparation()
    attributes, classes = reading.attributes, reading.labels
    labelled = len(attributes) > 0 or len(classes) > 0
    images, sound = _prepare(reading.train, preparation, source, processes, labelled)
    if reading.held_out is None:
        if len(sound) < 2:
            raise DataError(f"{source}: expected at least 2 images, got {len(sound)}")
        held_out = held_out_indices(len(sound))
        keep = np.ones(len(sound), bool)
        keep[held_out] = False
        rows = sound[keep], sound[held_out]
        parts: tuple[Images, Images] = Rows(images, rows[0]), Rows(images, rows[1])
        of_others = attributes, classes
    else:
        others, sound_others = _prepare(reading.held_out, preparation, source, processes, labelled)
        rows = sound, sound_others
        parts = Rows(images, sound), Rows(others, sound_others)
        of_others = reading.held_out_attributes, reading.held_out_labels
        if not (len(sound) and len(sound_others)):
            raise DataError(f"{source}: expected at least 1 image for training and 1 held out")
        if others.shape != images.shape:
            raise DataError(
                f"{source}: images are {images.shape} in training but {others.shape} held out; crop"
                " them"
            )
    return Dataset(
        name,
        *parts,
        source,
        reading.attribute_names,
        _followed(attributes, rows[0]),
        _followed(of_others[0], rows[1]),
        reading.notes,
        reading.class_names,
        _followed(classes, rows[0]),
        _followed(of_others[1], rows[1]),
    )


def _followed(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the labels of the images of `rows`; empty if there are no labels."""
    return labels[rows] if len(labels) else labels


def _prepare(
    read: Images | Pictures, preparation: Preparation, source: str, processes: int, labelled: bool
) -> tuple[Images, np.ndarray]:
    """Return images of one shape, and the rows of the intact ones. If labels have to match, all
    images are checked.
    """
    if isinstance(read, Images):
        if not preparation.changes_pixels:
            return read, np.arange(len(read))
        read = ArrayPictures(read, source)
    if len(read) == 0:
        raise DataError(f"{source}: expected at least 2 images, got none")
    prepared = Prepared(read, preparation, ROOM * available_bytes() / processes)
    return prepared, prepared.preload(to_the_end=labelled)


def array_images(array: Any, source: str) -> ArrayImages:
    """Return images from an array, uint8 (N, H, W, C) or, for grey images, (N, H, W).

    Raises DataError for any other array.
    """
    advice = [] if array.ndim in (3, 4) and 0 in array.shape else [shape_advice(array.shape or ())]
    if array.dtype != np.uint8:
        advice.append(value_advice(array))
    if any(advice):
        raise DataError(
            f"{source}: expected uint8 images (N, H, W, C) or (N, H, W), got {array.dtype} of shape"
            f" {array.shape}; " + "; then ".join(filter(None, advice))
        )
    if 0 in array.shape or len(array) < 2:
        raise DataError(
            f"{source}: expected at least 2 images that are not empty, got an array of shape"
            f" {array.shape}"
        )
    if len(array) * BYTES_A_ROW > available_bytes() / 4:
        raise DataError(
            f"{source}: says that it has {len(array)} images, more than memory can index; is it"
            " damaged?"
        )
    return ArrayImages(array)
