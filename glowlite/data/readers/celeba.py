"""CelebA: pictures of faces with forty attributes, and the official partition.

It reads CelebA's own lists or Kaggle's .csv files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from glowlite.data.dataset import Reading
from glowlite.data.readers.folder import FilePictures
from glowlite.errors import DataError
from glowlite.files.inputs import open_regular

ATTRIBUTES = ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt", "list_attr_celeba.csv")
PARTITION = ("list_eval_partition.txt", "Eval/list_eval_partition.txt", "list_eval_partition.csv")
FOLDERS = ("img_align_celeba", "Img/img_align_celeba", "img_celeba", "Img/img_celeba", ".")
PICTURES = ("img_align_celeba/img_align_celeba", *FOLDERS)  # the first is Kaggle's
LARGEST = 1 << 28  # size limit of a list in bytes; the real ones have 27 and 3 MB
TRAIN, HELD_OUT, TEST = "0", "1", "2"


def recognises(path: Path) -> bool:
    return path.is_dir() and (_find(path, ATTRIBUTES) or _find(path, PARTITION)) is not None


def read_celeba(path: Path) -> Reading:
    """Read the pictures in the order of the lists, with attributes (N, 40) if there is a list of
    them.

    In the official partition, 0 (training) trains, 1 (validation) is held out, and 2 (test) is not
    used. Without the partition file, the pictures have no split. Raises DataError, with file and
    line, for anything missing or damaged.
    """
    listed, partition = _find(path, ATTRIBUTES), _find(path, PARTITION)
    if listed is None and partition is None:
        raise DataError(
            f"{path}: no {ATTRIBUTES[0]} in this folder or in Anno below it; name the folder of"
            " CelebA"
        )
    parts = None if partition is None else _parts(partition)
    names, rows = (
        ((), dict.fromkeys(parts or {}, np.zeros(0, bool)))
        if listed is None
        else _attributes(listed)
    )
    folder = _folder(path, rows)
    there = {file.name for file in folder.iterdir()}
    files: dict[str, list[Path]] = {TRAIN: [], HELD_OUT: []}
    attributes: dict[str, list[np.ndarray]] = {TRAIN: [], HELD_OUT: []}
    first = 2 if (listed or partition or path).suffix == ".csv" else 3 if listed else 1
    for number, (picture, values) in enumerate(rows.items(), start=first):
        where = f"{listed or partition}, line {number}"
        part = TRAIN if parts is None else parts.get(picture)
        if part is None:
            raise DataError(
                f"{where}: {picture} is not listed in {partition}; get both from the same source"
            )
        if part == TEST:
            continue
        found = next(
            (name for name in (picture, f"{Path(picture).stem}.png") if name in there), None
        )
        if found is None:
            raise DataError(f"{where}: no {picture} in {folder}; were all pictures unpacked?")
        files[part].append(folder / found)
        attributes[part].append(values)
    train, held_out = (FilePictures(files[part], channels=3) for part in (TRAIN, HELD_OUT))
    labels = [
        np.array(attributes[part], bool).reshape(len(files[part]), len(names))
        for part in (TRAIN, HELD_OUT)
    ]
    notes: tuple[str, ...] = (
        "the official partition is missing, so test images are also trained on",
    )
    if parts is not None:
        left = sum(parts[picture] == TEST for picture in rows)
        notes = (f"split: CelebA's own; its test images are not used ({left})",)
    if not names:
        return Reading(train, held_out, notes=notes)
    return Reading(train, None if parts is None else held_out, names, labels[0], labels[1], notes)


def _find(path: Path, names: tuple[str, ...]) -> Path | None:
    return next((path / name for name in names if (path / name).is_file()), None)


def _folder(path: Path, pictures: dict[str, np.ndarray]) -> Path:
    """Find the folder of the pictures: one that contains the first picture, otherwise the first
    folder that exists.
    """
    folders = [path / name for name in PICTURES if (path / name).is_dir()]
    first = next(iter(pictures), "")
    return next(
        (
            folder
            for folder in folders
            if any((folder / name).is_file() for name in (first, f"{Path(first).stem}.png"))
        ),
        next((path / name for name in FOLDERS if (path / name).is_dir()), path),
    )


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place of each line, for messages, and its words, split at commas in a .csv,
    otherwise at spaces.
    """
    comma = "," if path.suffix == ".csv" else None
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(
                f"{path}: has more than {LARGEST >> 20} MiB, so it is not CelebA's list; get it"
                " again"
            )
        with (
            open_regular(path, DataError) as file,
            io.TextIOWrapper(file, encoding="utf-8-sig") as lines,
        ):
            for number, line in enumerate(lines, start=1):
                yield f"{path}, line {number}", [word.strip() for word in line.strip().split(comma)]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DataError(f"{path}: cannot be read: {reason}; get it again") from None


def _attributes(path: Path) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return the names (A,), and the attributes of every picture, bool (A,).

    The file has a count, the names, then one line per picture. A .csv has no count, and also names
    the column of pictures.
    """
    lines = _lines(path)
    count = None
    if path.suffix == ".csv":
        names = next(lines, ("", [""]))[1][1:]
        expected = "expected a column of pictures, and one for each attribute"
    else:
        (_, first), (_, names) = next(lines, ("", [])), next(lines, ("", []))
        count = first[0] if len(first) == 1 and first[0].isdecimal() else ""
        expected = "expected the number of pictures, and on line 2 the names of attributes"
    if not all(names) or not names or count == "":
        raise DataError(f"{path}, line 1: {expected}; get it again")
    rows: dict[str, np.ndarray] = {}
    for where, words in lines:
        if (
            len(words) != 1 + len(names)
            or not set(words[1:]) <= {"1", "-1", "0"}
            or words[0] in rows
        ):
            raise DataError(
                f"{where}: expected the name of a picture, only once, and {len(names)} values 1 or"
                " -1; get it again"
            )
        rows[words[0]] = np.array([word == "1" for word in words[1:]])
    # which may have any number of digits
    if count is not None and count.lstrip("0") != str(len(rows)):
        raise DataError(
            f"{path}, line 1: says {count[:20]} pictures, but {len(rows)} follow; is it complete?"
            " Get it again"
        )
    return tuple(names), rows


def _parts(path: Path) -> dict[str, str]:
    """Return the part of every picture: 0, 1 or 2."""
    parts = {}
    for number, (where, words) in enumerate(_lines(path)):
        if number == 0 and path.suffix == ".csv" and words[-1:] == ["partition"]:
            continue
        if len(words) != 2 or words[1] not in (TRAIN, HELD_OUT, TEST):
            raise DataError(
                f"{where}: expected the name of a picture and its part, 0, 1 or 2; get it again"
            )
        parts[words[0]] = words[1]
    return parts
