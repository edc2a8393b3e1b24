"""Named arrays on disk: safetensors for the numbers, JSON in its header for everything else, and a
checksum over both. Pickle is not used.

A file is written under a temporary name in the same folder, flushed to the disk, and renamed. So a
reader finds the old file or the new one, never a part. The temporary name cannot be guessed and is
created exclusively, so no file or link that someone else put there is used or replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import reprlib
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from glowlite.errors import DamagedError, GlowliteError, OutputError
from glowlite.files.schema import checked, names_to, plain, read_json
from glowlite.files.tensor_file import TensorFile, open_tensors

FORMAT = "glowlite-1"
CHECKPOINTS = "checkpoints"  # the folder of checkpoints in the folder of a run
# in the folder of a run, of this version and of the first version
TEMPORARY = re.compile(r"\.glowlite-[0-9a-f]{32}\.tmp|\..+\.(json|jsonl|png|safetensors)\.\d+\.tmp")
CHECKPOINT = re.compile(r"step-(\d{8,18})\.safetensors")
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a new empty file beside `path`.

    If the block succeeds, it replaces `path`. Only a regular file is ever replaced. Raises OSError,
    which names `path` and never the temporary file.
    """
    with _temporary_for(path) as temporary:
        _check_replaceable(path)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666))
        yield temporary
        _flush(temporary, os.O_RDONLY | NO_FOLLOW)
        _check_replaceable(path)
        os.replace(temporary, path)
        flush_folder(path.parent)


def replace_by_link(source: Path, path: Path) -> None:
    """Make `path` another name of the file `source`, or a copy of it on a file system without hard
    links.
    """
    with _temporary_for(path) as temporary:
        _check_replaceable(path)
        try:
            os.link(source, temporary)
        except OSError:
            with atomic_path(path) as copy:
                shutil.copyfile(source, copy)
            return
        os.replace(temporary, path)
        flush_folder(path.parent)


def _check_replaceable(path: Path) -> None:
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        what = "a symbolic link" if path.is_symlink() else "not a regular file"
        raise OSError(
            None, f"is {what}, which is not replaced; remove it, or name another place", str(path)
        )


@contextmanager
def _temporary_for(path: Path) -> Iterator[Path]:
    """Yield an unused name beside `path`; a file with that name is removed at the end.

    OSErrors name `path` instead of it.
    """
    temporary = path.parent / f".glowlite-{os.urandom(16).hex()}.tmp"
    try:
        yield temporary
    except OSError as error:
        if error.filename is not None and os.fspath(error.filename) == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, if the system can, so that a rename is durable."""
    with contextlib.suppress(OSError):
        _flush(folder, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files that killed processes left in `folder`."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the file `path` by `text`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
    """Write host arrays and a header of JSON values.

    Raises GlowliteError if writing fails; the old file is then unchanged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # safetensors stores an array's raw memory, so it has to be contiguous
    tensors = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps(header)
    try:
        with atomic_path(path) as temporary:
            save_file(
                tensors,
                str(temporary),
                {"format": FORMAT, "header": text, "sha256": checksum(tensors, text)},
            )
    except (OSError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or _reason(error)
        raise OutputError(
            f"cannot write {path}: {reason}; what was there before is still there"
        ) from None


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote.

    Raises DamagedError if its checksum is wrong, GlowliteError for other files.
    """
    with open_tensors(path) as file:
        metadata = _metadata(file)
        tensors = file.read()
    if metadata.get("sha256") != checksum(tensors, metadata["header"]):
        raise DamagedError(f"{path} is damaged: its checksum is wrong; use another checkpoint")
    return tensors, _header(metadata, path)


def read_header(path: Path) -> dict[str, Any]:
    """Read only the header; the checksum is not checked. Cost: that of reading the header."""
    with open_tensors(path) as file:
        return _header(_metadata(file), path)


def _header(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    where = f"{path}: header"
    header: dict[str, Any] = checked(names_to(plain), read_json(metadata["header"], where), where)
    return header


def _metadata(file: TensorFile) -> dict[str, str]:
    metadata = file.metadata
    if metadata.get("format") != FORMAT or "header" not in metadata:
        found = reprlib.repr(metadata.get("format"))
        raise GlowliteError(
            f"{file.path} was not written by this version of glowlite: format {found}, expected"
            f" {FORMAT!r}"
        )
    return metadata


def checksum(arrays: Mapping[str, np.ndarray], header: str) -> str:
    """Return the SHA-256 of the header and every array with its name, type and shape."""
    digest = hashlib.sha256(header.encode("utf-8", "surrogatepass"))
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def checkpoint_name(step: int) -> str:
    return f"step-{step:08d}.safetensors"


def checkpoints_of(run: Path) -> list[Path]:
    """Return the checkpoints in the folder of a run, oldest first.

    Raises GlowliteError if the folder cannot be read.
    """
    folder = run / CHECKPOINTS
    try:
        found = {
            int(m[1]): folder / m[0] for m in map(CHECKPOINT.fullmatch, os.listdir(folder)) if m
        }
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise GlowliteError(f"cannot read {folder}: {error.strerror}") from None
    return [found[step] for step in sorted(found)]


def resolve(path: str | Path) -> Path:
    """Return the file that a path means: the file itself or, for the folder of a run, the newest
    checkpoint.
    """
    if not isinstance(path, (str, os.PathLike)) or "\0" in os.fsdecode(path):
        raise GlowliteError(
            f"expected the path of a model, without zero bytes, got {reprlib.repr(path)}"
        )
    path = Path(path)
    if not path.is_dir():
        return path
    found = checkpoints_of(path)
    if not found:
        raise GlowliteError(
            f"{path}: no checkpoint in this folder; name the folder of a run, or a .safetensors"
            " file"
        )
    return found[-1]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "No space left on device" if "StorageFull" in text else text
