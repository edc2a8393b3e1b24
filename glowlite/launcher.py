"""Whether a launcher, such as mpirun, started this process as one of several; known before any MPI is imported."""

from __future__ import annotations

import os

LAUNCHED = {  # how launchers tell a process that it is one of several: (number, rank)
    "MPICH, Intel MPI or srun": ("PMI_SIZE", "PMI_RANK"),
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
}


def launched_as() -> tuple[str, int, int] | None:
    """The launcher that started this process as one of several, how many, and which; None if it is on its own."""
    for launcher, (size, rank) in LAUNCHED.items():
        if os.environ.get(size, "1").isdecimal() and int(os.environ.get(size, "1")) > 1:
            return launcher, int(os.environ[size]), int(os.environ.get(rank, "0"))
    return None


def is_first() -> bool:
    """Whether this process is the only one, or the first that the launcher started."""
    launched = launched_as()
    return launched is None or launched[2] == 0
