"""How the time of a step grows with K, batch, side, width and number of processes, one at a time,
starting from a small job (`--scaling`).

    seconds ~ size^exponent        exponent: by least squares of log seconds on log size

Processes share one batch, with one thread each. Without a cost of sharing, their exponent would be
-1.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glowlite.bench.figures import REFERENCE, progress
from glowlite.bench.rounds import measure
from glowlite.errors import GlowliteError

if TYPE_CHECKING:
    from glowlite.bench.job import Job

BASE = {"side": 16, "K": 4, "L": 2, "width": 64, "batch": 16}
BASE_WORDS = " ".join(f"--{name} {value}" for name, value in BASE.items())
FACTORS = (1, 2, 4)
PROGRAM = "glowlite.bench.ranks"
RANKS, LAUNCHES, STEPS = (1, 2), 3, 5  # numbers of ranks, starts of each, steps per start


def grown(job: Job, name: str, factor: int) -> Job:
    """Return the job with its K, batch, side or width multiplied by this factor."""
    config = job.config
    if name == "batch":
        return replace(job, batch=factor * job.batch)
    if name == "side":
        height, width, channels = config.image_shape
        shape = (factor * height, factor * width, channels)
        return replace(job, config=replace(config, image_shape=shape))
    changed: dict[str, Any] = {name: factor * getattr(config, name)}
    return replace(job, config=replace(config, **changed))


def report(job: Job, rounds: int) -> dict[str, Any]:
    """Return sizes, seconds and exponents as JSON values."""
    config = job.config
    sizes = {
        "K": config.K, "batch": job.batch, "side": config.image_shape[0], "width": config.width
    }  # fmt: skip
    jobs = {"base": job} | {
        f"{name} {factor * size}": grown(job, name, factor)
        for name, size in sizes.items()
        for factor in FACTORS[1:]
    }
    progress(f"timing a step of {len(jobs)} jobs, {rounds} rounds")
    times = measure(jobs, rounds, REFERENCE)
    found: dict[str, Any] = {}
    for name, size in sizes.items():
        grew = [factor * size for factor in FACTORS]
        seconds = [times["base" if n == size else f"{name} {n}"].median for n in grew]
        found[name] = growth(grew, seconds)
    by_ranks = _seconds_of_ranks(job)
    if by_ranks:
        found["ranks"] = growth(list(by_ranks), list(by_ranks.values()))
    height, width, channels = config.image_shape
    return {
        "title": f"{height}x{width}x{channels}, K={config.K}, L={config.L}, width {config.width},"
        f" {config.coupling}, batch {job.batch}, {job.threads} threads, {REFERENCE}",
        "config": config.to_dict(),
        "batch": job.batch,
        "threads": job.threads,
        "rounds": rounds,
        "scaling": found,
    }


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> dict[str, Any]:
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    return {"sizes": list(sizes), "median_s": list(seconds), "exponent": float(exponent)}


def table(report: dict[str, Any]) -> str:
    """Yield the lines that the terminal shows."""
    lines = [report["title"], "", f"{'a step, s':10}{'':60}exponent"]
    for name, grew in report["scaling"].items():
        points = "".join(
            f"{n:>8}: {seconds:8.4f}  "
            for n, seconds in zip(grew["sizes"], grew["median_s"], strict=True)
        )
        lines.append(f"{name:10}{points:60}{grew['exponent']:8.2f}")
    return "\n".join(lines)


# --- ranks ---


def _seconds_of_ranks(job: Job) -> dict[int, float]:
    """Return the median seconds of a step for each number of ranks; if they cannot be measured,
    print why and return nothing.
    """
    mpirun = _mpirun()
    if mpirun is None or find_spec("mpi4py") is None:
        progress("ranks are left out: they need mpirun and mpi4py, pip install '.[mpi]'")
        return {}
    progress(f"timing a step of {' and '.join(map(str, RANKS))} ranks")
    seconds: dict[int, list[float]] = {n: [] for n in RANKS}
    try:
        for _ in range(LAUNCHES):
            for n in RANKS:
                seconds[n].append(_run(mpirun, n, job))
    except GlowliteError as error:
        progress(f"ranks are left out: {error}")
        return {}
    return {n: statistics.median(each) for n, each in seconds.items()}


def _mpirun() -> str | None:
    """Return the mpirun of this Python, or else the first one on the path."""
    beside = Path(sys.executable).parent / "mpirun"
    return str(beside) if beside.exists() else shutil.which("mpirun")


def _run(mpirun: str, ranks: int, job: Job) -> float:
    """Start so many ranks and return the median seconds of their steps."""
    request = {
        "config": job.config.to_dict(), "batch": job.batch, "tile": job.tile, "blas": job.blas,
        "plain": job.plain, "steps": STEPS,
    }  # fmt: skip
    done = subprocess.run(
        [mpirun, "-n", f"{ranks}", sys.executable, "-m", PROGRAM, json.dumps(request)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise GlowliteError((done.stderr.strip().splitlines() or ["mpirun said nothing"])[-1])
    return statistics.median(json.loads(done.stdout))
