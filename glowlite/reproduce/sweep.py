"""Many runs, one after the other or in parallel: each is a process of the train command.

Finished runs are not repeated, and interrupted runs continue from their last checkpoints. Ctrl-C is
passed on to the runs, which save and stop; the same command continues them. Under mpirun every rank
takes its share of the runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glowlite.distributed.communicator import Communicator
from glowlite.errors import GlowliteError
from glowlite.files.outputs import make_folder
from glowlite.reproduce.planned_run import PlannedRun
from glowlite.terminal import say, shortened

# variables of a launcher, removed because a run is not a rank
LAUNCHERS = ("PMI", "OMPI_", "HYD", "MPI_", "PRTE_", "I_MPI")
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_SAVE = 120


def carry_out(runs: Sequence[PlannedRun], jobs: int, ranks: Communicator) -> None:
    """Complete every run, `jobs` at a time on each rank.

    If a run fails, the others are saved and stopped first; then raises GlowliteError that names the
    run and its log.
    """
    left = [run for run in runs if not run.is_done()]
    if ranks.is_root and len(left) < len(runs):
        say(f"{len(runs) - len(left)} of {len(runs)} runs already exist")
    mine = left[ranks.rank :: ranks.size]
    _work_off(mine, jobs, max(1, ranks.cores() // jobs))
    ranks.wait_until(lambda: all(run.is_done() for run in runs), "the runs of other ranks")


@dataclass(frozen=True)
class AtWork:
    run: PlannedRun
    process: subprocess.Popen[bytes]
    began: float  # in seconds


def _work_off(runs: Sequence[PlannedRun], jobs: int, threads: int) -> None:
    waiting, at_work = list(runs), list[AtWork]()
    try:
        while waiting or at_work:
            while waiting and len(at_work) < jobs:
                run = waiting.pop(0)
                at_work.append(AtWork(run, start(run, threads), time.monotonic()))
            for each in [each for each in at_work if each.process.poll() is not None]:
                at_work.remove(each)
                _look_at(each.run, each.process.returncode)
                bits, took = each.run.curve()[-1][1], time.monotonic() - each.began
                say(f"{each.run.folder}: {bits:.4f} bits/dim held out, {took:.0f} s")
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        end([each.process for each in at_work])


def log_of(run: PlannedRun) -> Path:
    return run.folder.with_suffix(".log")


def start(run: PlannedRun, threads: int) -> subprocess.Popen[bytes]:
    """Start the process that begins or continues the run; its output goes to a log beside it."""
    make_folder("--out", run.folder.parent)
    if run.is_begun():
        words = ["--out", str(run.folder), "--resume", "--threads", str(threads)]
    else:
        words = [*run.words, "--threads", str(threads)]
        words += ["--overwrite"] if run.folder.exists() else []
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)
    }
    with open(log_of(run), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "glowlite.train", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # so that signals of the terminal come only from us, once
        )


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask each process to save and stop, and wait until it has."""
    for process in processes:
        if process.poll() is None:
            process.terminate()  # a shell may have told all of us to ignore SIGINT
    for process in processes:
        try:
            process.wait(SECONDS_TO_SAVE)
        except subprocess.TimeoutExpired:
            process.kill()


def _look_at(run: PlannedRun, code: int) -> None:
    """Raise GlowliteError unless a run that ended with `code` is done."""
    if code == 0 and run.is_done():
        return
    try:
        lines = log_of(run).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said = shortened(lines[-1], 200) if lines else "nothing"
    raise GlowliteError(f"{run.folder}: ended with {code}; its log, {log_of(run)}, ends: {said}")
