"""Decide by name which subfolders are for training and which are held out: train*, and val*, dev*,
eval* or test*.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glowlite.data.dataset import number_of
from glowlite.errors import DataError

# how their names begin, ignoring case
TRAIN, HELD_OUT, TEST = ("train",), ("val", "dev", "eval"), ("test",)


@dataclass(frozen=True)
class Split:
    """`train`, and `held_out` if the folder has its own split.

    `note` says what was decided; it is empty if there was nothing to decide.
    """

    train: list[Path]
    held_out: list[Path] | None
    note: str


def split(root: Path, pictures: Sequence[Path]) -> Split:
    """Split the pictures below `root`.

    A single subfolder, such as that of an archive, is treated as the folder itself. One train* is
    for training; one val*, dev* or eval* is held out, and test* is then not used; without it, one
    test* is held out. Anything else beside them is left out and reported. Raises DataError if the
    names are ambiguous.
    """
    folders, beside = _parts(root, pictures)
    while len(folders) == 1 and not beside and not _named(folders, TRAIN):
        (name,) = folders
        root = root / name
        folders, beside = _parts(root, pictures)
    train, held_out, test = (_named(folders, starts) for starts in (TRAIN, HELD_OUT, TEST))
    if not train:
        _check_below(root, pictures)
        names = ", ".join(held_out + test)
        return Split(
            list(pictures),
            None,
            f"no folder train*: {names} and all others are used as one set" if names else "",
        )
    parts = held_out or test
    if len(train) > 1 or len(parts) > 1:
        several = ", ".join(train if len(train) > 1 else parts)
        raise DataError(
            f"{root}: has {several}, but only one of them can be used; name the one to train on,"
            f" as in {root / train[0]}, or move the others away"
        )
    if not parts and (len(folders) > 1 or beside):
        others = ", ".join(
            [*[name for name in folders if name not in train], *(["pictures"] if beside else [])][
                :3
            ]
        )
        raise DataError(
            f"{root}: has {train[0]} beside {others}, but no folder val* or test*; name"
            f" {root / train[0]} to train only on it, or rename it if it is one of several kinds"
            " of pictures"
        )
    _check_below(root / train[0], folders[train[0]])
    alone = [
        f"{name} ({number_of(len(folders[name]), 'picture')})"
        for name in folders
        if name not in (*train, *parts)
    ]
    alone += [f"{number_of(len(beside), 'picture')} beside them"] if beside else []
    note = f"{train[0]} is for training, {parts[0] if parts else 'a tenth of it'} is held out"
    return Split(
        folders[train[0]],
        folders[parts[0]] if parts else None,
        note + (f"; not used: {', '.join(alone)}" if alone else ""),
    )


def _parts(root: Path, pictures: Sequence[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the pictures by subfolder of `root`, and those that are in no subfolder."""
    folders: dict[str, list[Path]] = defaultdict(list)
    beside = []
    for picture in pictures:
        first, *more = picture.relative_to(root).parts
        if more:
            folders[first].append(picture)
        else:
            beside.append(picture)
    return dict(folders), beside


def _named(names: Iterable[str], starts: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.lower().startswith(starts)]


def _check_below(root: Path, pictures: Sequence[Path]) -> None:
    """Raise DataError if there is a split deeper down, as in cats/train and cats/test, whose parts
    would be mixed.
    """
    children: dict[Path, set[str]] = defaultdict(set)
    for folder in {picture.parent for picture in pictures}:
        for below in (folder, *folder.parents):
            if below == root:
                break
            children[below.parent].add(below.name)
    for folder, names in sorted(children.items()):
        train, others = _named(sorted(names), TRAIN), _named(sorted(names), HELD_OUT + TEST)
        if train and others:
            raise DataError(
                f"{folder}: {train[0]} and {others[0]} would be mixed with everything in {root};"
                f" name {folder}"
            )
