"""CelebA: pictures of faces with forty attributes, and the official partition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.folder import FilePictures
from glowlite.errors import DataError

ATTRIBUTES = ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt")
PARTITION = ("list_eval_partition.txt", "Eval/list_eval_partition.txt")
PICTURES = ("img_align_celeba", "Img/img_align_celeba", "img_celeba", "Img/img_celeba", ".")
LARGEST = 1 << 28  # bytes of a list; the true ones have 27 and 3 MB
TRAIN, HELD_OUT = "0", "1"


def recognises(path: Path) -> bool:
    return _find(path, ATTRIBUTES) is not None


def read_celeba(path: Path) -> Reading:
    """Pictures by their list, in its order, with attributes (N, 40).

    The official partition: 0 is for training, 1, validation, is held out, and 2, the test, is left alone. Without its
    file the pictures have no split of their own. Raises DataError, with file and line, for what is missing or damaged.
    """
    listed = _find(path, ATTRIBUTES)
    if listed is None:
        raise DataError(f"{path}: no {ATTRIBUTES[0]} in this folder or in Anno below it; name the folder of CelebA")
    names, rows = _attributes(listed)
    partition = _find(path, PARTITION)
    parts = None if partition is None else _parts(partition)
    folder = next((path / name for name in PICTURES if (path / name).is_dir()), path)
    there = {file.name for file in folder.iterdir()}
    files: dict[str, list[Path]] = {TRAIN: [], HELD_OUT: []}
    attributes: dict[str, list[np.ndarray]] = {TRAIN: [], HELD_OUT: []}
    for number, (picture, values) in enumerate(rows.items(), start=3):
        part = TRAIN if parts is None else parts.get(picture)
        if part is None:
            raise DataError(f"{listed}, line {number}: {picture} is not listed in {partition}; get both from one place")
        if part not in files:
            continue
        found = next((name for name in (picture, f"{Path(picture).stem}.png") if name in there), None)
        if found is None:
            raise DataError(f"{listed}, line {number}: no {picture} in {folder}; were all pictures unpacked?")
        files[part].append(folder / found)
        attributes[part].append(values)
    train, held_out = (FilePictures(files[part], channels=3) for part in (TRAIN, HELD_OUT))
    labels = [np.array(attributes[part], bool).reshape(-1, len(names)) for part in (TRAIN, HELD_OUT)]
    return Reading(train, None if parts is None else held_out, names, labels[0], labels[1])


def _find(path: Path, names: tuple[str, ...]) -> Path | None:
    return next((path / name for name in names if (path / name).is_file()), None)


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Where a line is, for messages, and its words."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: has more than {LARGEST >> 20} MiB, so it is no list of CelebA's; get it again")
        with open(path, encoding="ascii") as lines:
            for number, line in enumerate(lines, start=1):
                yield f"{path}, line {number}", line.split()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DataError(f"{path}: cannot be read: {reason}; get it again") from None


def _attributes(path: Path) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The names (A,), and what holds of every picture, bool (A,). The file: a count, the names, then a line a picture."""
    lines = _lines(path)
    _, count = next(lines, ("", []))
    _, names = next(lines, ("", []))
    if len(count) != 1 or not count[0].isdecimal() or not names:
        raise DataError(
            f"{path}, line 1: expected the number of pictures, and on line 2 the names of attributes; get it again"
        )
    rows: dict[str, np.ndarray] = {}
    for where, words in lines:
        if len(words) != 1 + len(names) or not set(words[1:]) <= {"1", "-1"} or words[0] in rows:
            raise DataError(
                f"{where}: expected the name of a picture, only once, and {len(names)} values 1 or -1; get it again"
            )
        rows[words[0]] = np.array([word == "1" for word in words[1:]])
    if len(rows) != int(count[0]):
        raise DataError(f"{path}, line 1: says {count[0]} pictures, but {len(rows)} follow; is it complete? Get it again")
    return tuple(names), rows


def _parts(path: Path) -> dict[str, str]:
    """The part of every picture: 0, 1 or 2."""
    parts = {}
    for where, words in _lines(path):
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise DataError(f"{where}: expected the name of a picture and its part, 0, 1 or 2; get it again")
        parts[words[0]] = words[1]
    return parts
