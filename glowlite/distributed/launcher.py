"""Whether a launcher, such as mpirun, started this process as one of several.

This is known before any MPI is imported.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

# how launchers tell a process that it is one of several: (number, rank)
LAUNCHED = {
    "MPICH, Intel MPI or srun": ("PMI_SIZE", "PMI_RANK"),
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
}
STOPPED = ("T", "t")  # states of a process that a signal or a debugger has stopped


def launched_as() -> tuple[str, int, int] | None:
    """Return the launcher that started this process as one of several, their number, and this
    process's number.

    Return None if this process is alone.
    """
    for launcher, (size, rank) in LAUNCHED.items():
        if os.environ.get(size, "1").isdecimal() and int(os.environ.get(size, "1")) > 1:
            return launcher, int(os.environ[size]), int(os.environ.get(rank, "0"))
    return None


def rank() -> int:
    """Return the number of this process among those that the launcher started; 0 if it is alone."""
    launched = launched_as()
    return 0 if launched is None else launched[2]


def is_first() -> bool:
    """Whether this process is the only one, or the first that the launcher started."""
    return rank() == 0


def stopped_ranks() -> list[int]:
    """Return the ranks on this machine that are stopped (by SIGSTOP or a debugger), if the system
    tells; Linux does.
    """
    return sorted(
        rank for rank, process in _beside().items() if _state_and_parent(process)[0] in STOPPED
    )


def ranks_without(library: str) -> list[int]:
    """Return the ranks on this machine that have not loaded a file with `library` in its path, if
    the system tells.
    """
    return sorted(
        rank for rank, process in _beside().items() if library not in _read(process / "maps")
    )


class Watch:
    """Checks the ranks on this machine from time to time.

    Cost: about a millisecond every SECONDS_BETWEEN seconds.
    """

    SECONDS_BETWEEN = 1.0

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._looked = -float("inf")

    def gone(self) -> list[int]:
        """Return the ranks that existed before and have ended, if the system tells."""
        if time.monotonic() < self._looked + self.SECONDS_BETWEEN:
            return []
        self._looked = time.monotonic()
        there = set(_beside())
        self._seen |= there
        return sorted(self._seen - there)


def _beside() -> dict[int, Path]:
    """Return the folder in /proc of every other process that the launcher started, by rank."""
    launched, found = launched_as(), {}
    if launched is not None:
        size, number = LAUNCHED[launched[0]]
        for process in Path("/proc").glob("[0-9]*"):
            if _state_and_parent(process)[1] == str(os.getppid()):
                variables = dict(
                    line.partition("=")[::2] for line in _read(process / "environ").split("\0")
                )
                if (
                    variables.get(size) == str(launched[1])
                    and variables.get(number, "").isdecimal()
                ):
                    found[int(variables[number])] = process
    return found


def _state_and_parent(process: Path) -> tuple[str, str]:
    """Return the state as a letter, as ps shows it, and the parent's number.

    The command, in brackets before them, may contain any characters.
    """
    words = _read(process / "stat").rpartition(")")[2].split()
    return (words[0], words[1]) if len(words) > 1 else ("", "")


def _read(path: Path) -> str:
    """Return the text of a file in /proc; empty if it is gone or not readable."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
