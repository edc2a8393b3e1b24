"""MNIST, Fashion-MNIST and their like: idx files, plain or .gz, in a folder of their own split, or one of images.

An idx file: a magic number, 0x0803 for images and 0x0801 for labels, their sizes, all big-endian 32 bits, and bytes.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np

from glowlite.data.arrays import check_is_file
from glowlite.data.dataset import Reading, array_images
from glowlite.errors import DataError
from glowlite.inputs import open_regular
from glowlite.workers import available_bytes

IMAGES, LABELS = 0x0803, 0x0801  # the last byte is the number of axes
NAMES = {IMAGES: "images{}idx3-ubyte{}", LABELS: "labels{}idx1-ubyte{}"}
TRAIN, HELD_OUT = "train", "t10k"
CLASSES = tuple("0123456789")
DAMAGED = (zlib.error, EOFError, OSError, MemoryError)


def recognises(path: Path) -> bool:
    if path.is_dir():
        return any(_find(path, part, IMAGES) for part in (TRAIN, HELD_OUT))
    return re.search(r"[.-]idx\d-ubyte(\.gz)?$", path.name.lower()) is not None


def read_idx(path: Path) -> Reading:
    """Grey images (N, H, W, 1) in memory. From a folder, t10k-* are held out, and labels, if both are there, attributes.

    Raises DataError for a file that is missing, damaged, or would unpack to more than a quarter of this machine's memory.
    """
    if not path.is_dir():
        check_is_file(path)
        return Reading(array_images(_read(path, IMAGES)[..., None], str(path)))
    images, labels = [], []
    for part in (TRAIN, HELD_OUT):
        file, file_of_labels = _find(path, part, IMAGES), _find(path, part, LABELS)
        if file is None:
            raise DataError(f"{path}: no {part}-images-idx3-ubyte or .gz in this folder; get it, or name a file of images")
        images.append(array_images(_read(file, IMAGES)[..., None], str(file)))
        if file_of_labels is not None:
            labels.append(_one_hot(file_of_labels, len(images[-1])))
    if len(labels) < len(images):
        return Reading(images[0], images[1])
    return Reading(images[0], images[1], CLASSES, labels[0], labels[1])


def _find(folder: Path, part: str, magic: int) -> Path | None:
    """The file of a part, in the folder, under any of its names."""
    names = (f"{part}-{NAMES[magic].format(mark, suffix)}" for suffix in ("", ".gz") for mark in ("-", "."))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _one_hot(path: Path, count: int) -> np.ndarray:
    """Labels as bool (N, 10)."""
    labels = _read(path, LABELS)
    if len(labels) != count or labels.max(initial=0) >= len(CLASSES):
        raise DataError(
            f"{path}: expected {count} labels 0 to 9, one an image, got {len(labels)} up to {labels.max(initial=0)};"
            " get images and labels from one place"
        )
    return np.eye(len(CLASSES), dtype=bool)[labels]


def _read(path: Path, magic: int) -> np.ndarray:
    """uint8 (N, H, W), or (N,) of labels. Unpacks what the header says, and a byte more, to see whether it is right."""
    axes = magic & 0xFF
    try:
        with open_regular(path, DataError) as packed:
            file = gzip.GzipFile(fileobj=packed) if path.suffix.lower() == ".gz" else packed
            header = file.read(4 + 4 * axes)
            found = int.from_bytes(header[:4], "big")
            if len(header) >= 4 and found != magic:
                kind = "images" if magic == IMAGES else "labels"
                raise DataError(f"{path}: magic number 0x{found:08x}, expected 0x{magic:08x} of an idx file of {kind}")
            if len(header) < 4 + 4 * axes:
                raise DataError(f"{path}: is truncated within its header; get it again")
            shape = struct.unpack(f">{axes}I", header[4:])
            size, there = prod(shape), available_bytes()
            if size > there / 4:
                raise DataError(
                    f"{path}: its header says {shape}, {size / 2**30:.1f} GiB, and this machine has {there / 2**30:.1f} GiB"
                    " of memory; if it is not damaged, save the images as .npy"
                )
            content = file.read(size + 1)
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be read: {reason}; is the file complete? Get it again") from None
    if len(content) != size:
        state = f"is truncated after {len(content)} bytes" if len(content) < size else "is damaged: it goes on after them"
        raise DataError(f"{path}: its header says {shape}, {size} bytes, but it {state}; get it again")
    return np.frombuffer(content, np.uint8).reshape(shape)
