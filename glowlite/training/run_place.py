"""Where a run may be written: a folder that is empty, or that contains a run to be resumed or
overwritten.

A run is recognised by a valid config.json. Any other folder may contain other data, and nothing in
it is changed. A run that has not saved a checkpoint yet may be begun again by the same command;
config.json says whether it has.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from glowlite.errors import GlowliteError
from glowlite.files.outputs import DIRECTIONS, HTML, PNG, check_folder
from glowlite.files.storage import (
    CHECKPOINT,
    CHECKPOINTS,
    TEMPORARY,
    checkpoints_of,
    flush_folder,
    remove_temporaries,
)
from glowlite.terminal import warn
from glowlite.training.run_files import (
    BEST,
    CONFIG,
    METRICS,
    SAVED,
    TIMING,
    read_config,
    write_config,
)

RUNS, LOCK, TENSORBOARD = "runs", ".lock", "tensorboard"
PICTURES = re.compile(r"learning-curve\.png|latents\.png|reconstruction\.png|samples-\d{6,}\.png")
EVENTS = re.compile(r"events\.out\.tfevents\..+")
NAMED = 3  # number of files of a folder named in a message


def check_run_folder(out: str, overwrite: bool, resume: bool) -> None:
    """Raise GlowliteError unless these options allow writing a run into the folder `out`.

    Nothing is changed.
    """
    path = Path(out)
    if not out:
        raise GlowliteError("--out is empty; name a folder")
    check_folder("--out", path, PNG, lambda name: False)
    names = _names(path)
    if not names:
        return
    if CONFIG not in names:
        if BEST in names or CHECKPOINTS in names:
            raise GlowliteError(
                f"--out {path}: contains {_listed(names)}, but no {CONFIG}; restore it to"
                " continue that run, or name another folder"
            )
        raise GlowliteError(
            f"--out {path}: is not a run, and not empty: it contains {_listed(names)}; name"
            " another folder"
        )
    config = read_config(path)
    if not (overwrite or resume or may_begin_again(path, config)):
        raise GlowliteError(
            f"--out {path} already contains a run; name another folder, or add --resume to"
            " continue it, or --overwrite to replace it"
        )
    files_of_run(path, config)


def may_begin_again(path: Path, config: dict[str, Any]) -> bool:
    """Whether the run in this folder ended before its first checkpoint, so that nothing is lost if
    it begins again.
    """
    checkpoints = path / CHECKPOINTS
    there = os.path.lexists(path / BEST) or (
        os.path.lexists(checkpoints) and not checkpoints.is_dir()
    )
    return config.get(SAVED) is False and not there and not checkpoints_of(path)


def check_nothing_to_restore(path: Path) -> None:
    """Raise GlowliteError if the run in this folder has no checkpoint now, but had one: what is
    left of it must not be overwritten.
    """
    if (path / CONFIG).exists() and not may_begin_again(path, read_config(path)):
        raise GlowliteError(
            f"{path}: nothing to continue from: it contains {_listed(_names(path))}, but no"
            f" checkpoint in {path / CHECKPOINTS}; restore one, or begin a new run in another"
            " folder"
        )


def _names(path: Path) -> list[str]:
    """Return what is in a folder, except what a run leaves if it ends before it writes its
    configuration.
    """
    if not path.is_dir():
        return []
    names = [
        name for name in sorted(os.listdir(path)) if name != LOCK and not TEMPORARY.fullmatch(name)
    ]
    checkpoints = path / CHECKPOINTS
    empty = checkpoints.is_dir() and not checkpoints.is_symlink() and not os.listdir(checkpoints)
    return [name for name in names if not (name == CHECKPOINTS and empty)]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def files_of_run(path: Path, config: dict[str, Any]) -> list[Path]:
    """Return the files that a run of this `config` wrote into its folder, including its report and
    directions, config.json last.

    Raises GlowliteError if one of these names is a link or the like, which is not a file of a run
    and is left alone.
    """
    folders: dict[Path, Callable[[Path], object]] = {path: _is_of_run}
    folders[path / CHECKPOINTS] = lambda file: CHECKPOINT.fullmatch(file.name)
    if config["options"].get("tensorboard"):
        folders[path / TENSORBOARD] = lambda file: EVENTS.fullmatch(file.name)
    found = [
        Path(folder, name)
        for folder in folders
        if folder.is_dir()
        for name in sorted(os.listdir(folder))
    ]
    files = [file for file in found if folders[file.parent](file)]
    for file in files:
        if not stat.S_ISREG(os.lstat(file).st_mode):
            raise GlowliteError(
                f"{file}: is not a regular file, so no run wrote it; remove it, or name another"
                " --out"
            )
    return sorted(files, key=lambda file: file.name == CONFIG)


def _is_of_run(file: Path) -> bool:
    # other commands or the user wrote them
    kinds = {
        "report.html": HTML,
        "directions.safetensors": DIRECTIONS,
    }
    if file.name in kinds:
        return file.is_file() and not file.is_symlink() and kinds[file.name].is_ours(file)
    return file.name in (CONFIG, METRICS, TIMING, BEST) or PICTURES.fullmatch(file.name) is not None


def make_run_folder(out: str | None, name: str) -> Path:
    """Make the folder of a run: `out`, or the first free one of runs/NAME-1, runs/NAME-2, ...

    after all that exist.
    """
    runs = Path(RUNS) if out is None else Path(out).parent
    try:
        runs.mkdir(parents=True, exist_ok=True)
        if out is not None:
            path = Path(out)
            path.mkdir(exist_ok=True)
        else:
            path = _next_folder(runs, name)
    except OSError as error:
        raise GlowliteError(
            f"--out {out or runs}: cannot make the folder: {error.strerror}"
        ) from None
    flush_folder(runs)
    return path


def _next_folder(runs: Path, name: str) -> Path:
    pattern = re.compile(rf"{re.escape(name)}-(\d{{1,9}})")
    number = max(
        (int(found[1]) for there in os.listdir(runs) if (found := pattern.fullmatch(there))),
        default=0,
    )
    while True:  # another process may make the same folder first
        number += 1
        with contextlib.suppress(FileExistsError):
            path = runs / f"{name}-{number}"
            path.mkdir()
            return path


@contextlib.contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Lock the folder of a run for this process, since two processes that write one run would spoil
    it.
    """
    try:
        import fcntl
    except ImportError:  # not available on this system
        yield
        return
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path / LOCK, flags, 0o666)
    except OSError as error:
        reason = "is a symbolic link; remove it" if error.errno == errno.ELOOP else error.strerror
        raise GlowliteError(f"{path / LOCK}: {reason}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise GlowliteError(f"{path / LOCK}: is not a regular file; remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GlowliteError(
                f"{path}: another process is writing this run; wait for it, or name another --out"
            ) from None
        except OSError as error:
            warn(
                f"{path}: cannot be locked ({error.strerror}); make sure that no other process"
                " writes this run"
            )
        for folder in (path, path / CHECKPOINTS):
            remove_temporaries(folder)
        yield
    finally:
        os.close(descriptor)


def begin(path: Path, config: dict[str, Any], fresh: bool = True) -> None:
    """Write the configuration of a run. A fresh run first removes the files of the run that it
    replaces, and no others.
    """
    if fresh and (path / CONFIG).exists():
        for file in files_of_run(path, read_config(path))[
            :-1
        ]:  # if killed in between, the old configuration remains
            file.unlink()
    write_config(path, config)
