"""Find the pictures below a folder. Links are followed, each folder counts once, and skipped files
are counted by kind.
"""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from pathlib import Path

from glowlite.data.readers.pictures import extensions
from glowlite.errors import DataError

# files that systems and programs leave beside pictures, in addition to names that begin with a dot
OF_SYSTEMS = frozenset(
    (
        "__macosx", "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot",
        "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini",
    )
)  # fmt: skip
LONGEST = 12  # longest text that counts as a suffix, in characters
SHOWN = 8  # how many kinds of files a note names


def is_hidden(name: str) -> bool:
    """Whether a file or folder with this name is hidden or belongs to the system, and so is not a
    picture of the user.
    """
    return name.startswith(".") or name.lower() in OF_SYSTEMS


class Walk:
    """`pictures`: every file below `root` that Pillow has a suffix for, sorted.

    `passed`: numbers of other files, by kind. Only regular files, and links to them, are pictures.
    Folders are entered level by level, each once, however many links lead to it, real folders
    first. Raises DataError for a folder that cannot be read. Cost: one system call per file.
    """

    def __init__(self, root: Path) -> None:
        self.passed: Counter[str] = Counter()
        self._entered: set[tuple[int, int]] = set()
        self._suffixes = extensions()
        found: list[Path] = []
        waiting = deque([root] if self._is_new(root) else [])
        while waiting:
            folders, pictures = self._look(waiting.popleft())
            found += pictures
            for folder in folders:
                if self._is_new(folder):
                    waiting.append(folder)
                else:
                    self.passed["folders already read"] += 1
        self.pictures = sorted(found)

    def note(self) -> str:
        """Return a short text on what was skipped; empty if nothing was."""
        kinds = sorted(self.passed.items(), key=lambda kind: (-kind[1], kind[0]))
        if not kinds:
            return ""
        more = sum(count for _, count in kinds[SHOWN:])
        words = [f"{kind} ({count})" for kind, count in kinds[:SHOWN]] + (
            [f"other kinds ({more})"] if more else []
        )
        return f"skipped: {', '.join(words)}"

    def _is_new(self, folder: Path) -> bool:
        """Whether this folder is entered for the first time, under any name."""
        status = os.stat(folder)
        before = len(self._entered)
        self._entered.add((status.st_dev, status.st_ino))
        return len(self._entered) > before

    def _look(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the folders and the pictures in a folder."""
        folders, pictures = [], []
        for entry in sorted(_entries(folder), key=lambda entry: (entry.is_symlink(), entry.name)):
            mode, path = _mode(entry), Path(entry.path)
            suffix = path.suffix.lower()
            if is_hidden(entry.name):
                self.passed["hidden or system files"] += _files(entry)
            elif mode is None:
                self.passed["links to nothing"] += 1
            elif stat.S_ISDIR(mode):
                folders.append(path)
            elif not stat.S_ISREG(mode):
                self.passed["pipes and devices"] += 1
            elif suffix in self._suffixes:
                pictures.append(path)
            else:
                self.passed[suffix if 1 < len(suffix) <= LONGEST else "files without suffix"] += 1
        return folders, pictures


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read: {error.strerror}; check its permissions"
        ) from None


def _mode(entry: os.DirEntry[str]) -> int | None:
    """Return its kind, or that of a link's target.

    Return None for a link to nothing, or to itself.
    """
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG  # known without a system call
    try:
        return entry.stat().st_mode
    except OSError:
        return None


def _files(entry: os.DirEntry[str]) -> int:
    """Count the files there: 1 for a file.

    In a folder, count those that can be listed; a folder that cannot be read counts as empty.
    """
    if not entry.is_dir(follow_symlinks=False):
        return 1
    return sum(len(names) for _, _, names in os.walk(entry.path))
