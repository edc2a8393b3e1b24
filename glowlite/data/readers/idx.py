"""MNIST, Fashion-MNIST, EMNIST and similar sets: idx files, plain or .gz, as a folder with its own
split or as one file of images.

An idx file has a magic number (0x0803 for images, 0x0801 for labels) and the sizes, all big-endian
32-bit numbers, and then bytes.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections import defaultdict
from math import prod
from pathlib import Path

import numpy as np

from glowlite.arrays.machine import available_bytes
from glowlite.data.dataset import Reading, array_images
from glowlite.data.readers.arrays import check_is_file
from glowlite.data.walk import is_hidden
from glowlite.errors import DataError
from glowlite.files.inputs import open_regular

IMAGES, LABELS = 0x0803, 0x0801  # the last byte is the number of axes
# the set, the part and the kind of a file
NAME = re.compile(r"(.*-)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")
TRAIN, HELD_OUT = "train", "t10k"
RAW = "raw"  # where torchvision puts them: MNIST/raw
DIGITS = 10
TURNED = "EMNIST's images are stored transposed; they were turned upright"
DAMAGED = (zlib.error, EOFError, OSError, MemoryError)

Files = dict[tuple[str, str], Path]  # by part and kind


def recognises(path: Path) -> bool:
    if path.is_dir():
        return bool(_sets(path))
    return re.search(r"[.-]idx\d-ubyte(\.gz)?$", path.name.lower()) is not None


def read_idx(path: Path) -> Reading:
    """Read grey images (N, H, W, 1) into memory.

    In a folder, t10k-* is held out. If both parts have labels, they become classes and attributes.
    The folder may be torchvision's, with the files in MNIST/raw; the files may have a prefix, as in
    emnist-letters-train-*. Raises DataError for a file that is missing, damaged, or would unpack to
    more than a quarter of this machine's memory.
    """
    if not path.is_dir():
        check_is_file(path)
        turned = path.name.lower().startswith("emnist")
        return Reading(
            array_images(_images(path, turned), str(path)), notes=(TURNED,) if turned else ()
        )
    name, files = _one_set(path)
    turned = name.startswith("emnist")
    images, labels = [], []
    for part in (TRAIN, HELD_OUT):
        file = files.get((part, "images"))
        if file is None:
            raise DataError(
                f"{path}: no {name}{part}-images-idx3-ubyte or .gz there; get it, or name a file of"
                " images"
            )
        images.append(array_images(_images(file, turned), str(file)))
        if (part, "labels") in files:
            labels.append(_labels(files[part, "labels"], len(images[-1])))
    notes = (TURNED,) if turned else ()
    if len(labels) < len(images):
        return Reading(images[0], images[1], notes=notes)
    count = max(DIGITS, *(int(values.max()) + 1 for values in labels))
    one_hot = [np.eye(count, dtype=bool)[values] for values in labels]
    names = tuple(map(str, range(count)))
    return Reading(
        images[0], images[1], names, one_hot[0], one_hot[1], notes, names, labels[0], labels[1]
    )


def _one_set(path: Path) -> tuple[str, Files]:
    """Return the set of a folder: the prefix of its file names, and its files.

    Raises DataError if there is none or more than one.
    """
    sets = _sets(path)
    if not sets:
        raise DataError(
            f"{path}: no {TRAIN}-images-idx3-ubyte or .gz in this folder; get it, or name a file of"
            " images"
        )
    if len(sets) > 1:
        several = ", ".join(f"{folder / name}*" for folder, name in list(sets)[:3])
        raise DataError(
            f"{path}: has several sets, {several}; move one into its own folder and name that"
        )
    (((_, name), files),) = sets.items()
    return name, files


def _sets(path: Path) -> dict[tuple[Path, str], Files]:
    """Return the sets of idx files by folder and name: in `path`, or else in raw below it, or in
    folders such as MNIST/raw.
    """
    for folders in ((path,), (path / RAW,), sorted(path.glob(f"*/{RAW}"))):
        sets: dict[tuple[Path, str], Files] = defaultdict(dict)
        for folder in folders:
            if not folder.is_dir() or is_hidden(folder.parent.name):
                continue
            # a plain file comes after its .gz file, and so replaces it
            for file in sorted(folder.iterdir(), reverse=True):
                match = NAME.fullmatch(file.name.lower())
                if match and not is_hidden(file.name) and file.is_file():
                    part = TRAIN if match[2] == TRAIN else HELD_OUT
                    sets[folder, match[1] or ""][part, match[3]] = file
        if sets:
            return dict(sets)
    return {}


def _images(path: Path, turned: bool) -> np.ndarray:
    images = _read(path, IMAGES)
    return np.ascontiguousarray(images.transpose(0, 2, 1)) if turned else images


def _labels(path: Path, count: int) -> np.ndarray:
    """Return a class for each of `count` images, uint8 (N,)."""
    labels = _read(path, LABELS)
    if len(labels) != count:
        raise DataError(
            f"{path}: expected {count} labels, one per image, got {len(labels)}; get images and"
            " labels from the same source"
        )
    return labels


def _read(path: Path, magic: int) -> np.ndarray:
    """Return uint8 (N, H, W), or (N,) for labels.

    It unpacks as many bytes as the header says and one more, to check the header.
    """
    axes = magic & 0xFF
    try:
        with open_regular(path, DataError) as packed:
            file = gzip.GzipFile(fileobj=packed) if path.suffix.lower() == ".gz" else packed
            header = file.read(4 + 4 * axes)
            found = int.from_bytes(header[:4], "big")
            if len(header) >= 4 and found != magic:
                kind = "images" if magic == IMAGES else "labels"
                raise DataError(
                    f"{path}: magic number 0x{found:08x}, expected 0x{magic:08x} of an idx file of"
                    f" {kind}"
                )
            if len(header) < 4 + 4 * axes:
                raise DataError(f"{path}: is truncated within its header; get it again")
            shape = struct.unpack(f">{axes}I", header[4:])
            size, there = prod(shape), available_bytes()
            if size > there / 4:
                raise DataError(
                    f"{path}: its header says {shape}, {size / 2**30:.1f} GiB, but this machine"
                    f" has {there / 2**30:.1f} GiB of memory; if it is not damaged, save the"
                    " images as .npy"
                )
            content = file.read(size + 1)
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: cannot be read: {reason}; is the file complete? Get it again"
        ) from None
    if len(content) != size:
        state = (
            f"is truncated after {len(content)} bytes"
            if len(content) < size
            else "is damaged: more bytes follow"
        )
        raise DataError(
            f"{path}: its header says {shape}, {size} bytes, but it {state}; get it again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
