"""Data sets by name or path: `load("faces")`, `load("photos.npz")`, `load("folder/")`,
`load("celeba:folder/")`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glowlite.arrays.arguments import shown
from glowlite.data.dataset import Dataset, Reading, make_dataset
from glowlite.data.embedded import NAMES, embedded_name, read_embedded
from glowlite.data.preparation import Preparation
from glowlite.data.readers import arrays, celeba, cifar, folder, hdf5, idx, lsun
from glowlite.errors import DataError

__all__ = ["READERS", "Dataset", "Preparation", "Reader", "find_reader", "load"]


@dataclass(frozen=True)
class Reader:
    """`recognises` looks at names and reads little; `read` raises DataError.

    `expects`: what a path should be.
    """

    expects: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Reading]


# readers by name, in the order in which they are tried for a plain path: a folder of any images
# comes last
READERS = {
    "cifar100": Reader(
        "CIFAR-100's binary edition, a folder or .tar.gz",
        cifar.recognises_cifar100,
        cifar.read_cifar,
    ),
    "cifar10": Reader(
        "CIFAR-10's binary edition, a folder or .tar.gz", cifar.recognises_cifar10, cifar.read_cifar
    ),
    "mnist": Reader(
        "a folder of MNIST's idx files, or an idx file of images", idx.recognises, idx.read_idx
    ),
    "celeba": Reader(
        "CelebA's folder with list_attr_celeba.txt", celeba.recognises, celeba.read_celeba
    ),
    "lsun": Reader(
        "an LSUN LMDB, or the folder with both LMDBs of a set", lsun.recognises, lsun.read_lsun
    ),
    "hdf5": Reader("an .h5 or .hdf5 with `images`", hdf5.recognises, hdf5.read_hdf5),
    "npz": Reader("an .npz with `images`", arrays.recognises_npz, arrays.read_npz),
    "npy": Reader("an .npy", arrays.recognises_npy, arrays.read_npy),
    "folder": Reader("a folder of images", folder.recognises, folder.read_folder),
}


def load(
    spec: str | os.PathLike[str], preparation: Preparation | None = None, processes: int = 1
) -> Dataset:
    """Load the data set of an embedded name (`faces`, `embedded:faces`), of a path whose kind is
    recognised, or of `reader:path`.

    Raises DataError, in one line, for data that are missing, damaged or of the wrong kind.
    `processes`: how many processes on this machine load it; each uses only its share of the memory
    for decoded pictures. Cost: arrays of an .npz are kept in memory; an .npy or .h5 is read, and
    pictures are decoded, when needed.
    """
    spec = _as_text(spec)
    if preparation is not None and not isinstance(preparation, Preparation):
        raise DataError(f"load: expected a Preparation, got {shown(preparation)}")
    embedded = embedded_name(spec)
    if embedded is not None:
        reading = read_embedded(embedded)
        if spec in NAMES and Path(spec).exists():
            reading = replace(
                reading,
                notes=(f"using the embedded images; for the {spec} in this folder, give ./{spec}",),
            )
        return make_dataset(embedded, reading, f"embedded {embedded}", preparation, processes)
    try:
        name, path = find_reader(spec)
        reading = READERS[name].read(path)
        return make_dataset(_name(path), reading, str(path), preparation, processes)
    except OSError as error:  # no permission, or too long for a name
        where = error.filename or spec
        raise DataError(
            f"{where}: cannot be looked up: {error.strerror}; check the path and its permissions"
        ) from None


def _as_text(spec: Any) -> str:
    """Return a data specification as text. A Path stays a path, even if an embedded set has its
    name.

    Raises DataError.
    """
    if not isinstance(spec, (str, os.PathLike)):
        raise DataError(f"load: expected a name or a path, got {shown(spec)}")
    text = os.fsdecode(spec)
    if "\0" in text:
        raise DataError(f"data {shown(text)}: a path cannot contain zero bytes")
    return os.path.join(".", text) if text in NAMES and not isinstance(spec, str) else text


def located(spec: str) -> str:
    """`spec` with its path made absolute, so that it means the same in any working folder.

    Nothing is checked on the disk.
    """
    name, _, rest = spec.partition(":")
    if embedded_name(spec) is not None:
        return spec
    return f"{name}:{os.path.abspath(rest)}" if name in READERS and rest else os.path.abspath(spec)


def is_there(spec: str) -> bool:
    """Whether the path in `spec` exists, or no path is needed."""
    name, _, rest = spec.partition(":")
    return embedded_name(spec) is not None or os.path.exists(
        rest if name in READERS and rest else spec
    )


def find_reader(spec: str) -> tuple[str, Path]:
    """Return the name in READERS that reads `spec`, a path or `reader:path`, and the path.

    Raises DataError if none does.
    """
    name, _, rest = spec.partition(":")
    if name not in READERS or not rest:
        _check_link(Path(spec))
        return _recognise(spec, Path(spec)), Path(spec)
    _check_link(Path(rest))
    if not Path(rest).exists():
        raise DataError(f"{rest}: no such file or folder; expected {READERS[name].expects}")
    return name, Path(rest)


def _recognise(spec: str, path: Path) -> str:
    exists = spec != "" and path.exists()  # Path("") is the current folder, which nobody asked for
    by_suffix = (
        spec != "" and not exists and path.suffix.lower() in (".npz", ".npy", ".h5", ".hdf5")
    )
    if exists or by_suffix:  # a reader gives the best message about what is missing
        for name, reader in READERS.items():
            if reader.recognises(path):
                return name
    if spec == "":
        raise DataError(
            f"data '': no such name; give --data {' or '.join(NAMES)}, or the path of a file or"
            " folder"
        )
    if spec in READERS:
        raise DataError(
            f"data {spec!r}: where is it? Give the path, as in {spec}:PATH, of"
            f" {READERS[spec].expects}"
        )
    close = difflib.get_close_matches(spec, [*NAMES, *READERS], 1)
    what = (
        "a file of unknown kind (of pictures, name a folder; unpack an archive)"
        if exists
        else "no such name, file or folder"
    )
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise DataError(
        f"data {spec!r}: {what}{hint}; expected {', '.join(NAMES)}, a path, or reader:path, where"
        f" reader is {', '.join(READERS)}"
    )


def _check_link(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise DataError(f"{path}: is a link to nothing, or to itself; check the path given as data")


def _name(path: Path) -> str:
    """Return the name of a run on these data: the file name without its suffixes, or the folder
    name.
    """
    return (
        path.resolve().name.partition(".")[0] or "data" if path.is_file() else path.resolve().name
    )
