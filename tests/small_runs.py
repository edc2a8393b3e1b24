"""Small runs, models and images, for the tests of training."""

import io
import os
import runpy
import signal
import subprocess
import sys
import warnings
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from glowlite import Glow, GlowConfig
from glowlite.commands.start_up import SIGNALS
from glowlite.data.dataset import Dataset
from glowlite.data.images import ArrayImages
from glowlite.data.labels import conditioned
from glowlite.fast.threads import Workers

ROOT = Path(__file__).parent.parent
MPIRUN = Path(sys.executable).parent / "mpirun"
UNDRAWN = str(Path(__file__).with_name("undrawn.py"))  # for "-m", "glowlite.train"
SMALL = [
    "--K",
    "1",
    "--L",
    "2",
    "--width",
    "16",
    "--steps",
    "6",
    "--batch",
    "8",
    "--evaluate-every",
    "3",
]


def environment(*folders: Path) -> dict[str, str]:
    """In which Python finds this package, and what is in `folders`."""
    places = [*map(str, (ROOT, *folders)), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def mpirun(
    n: int, *arguments: str, cwd: Path | None = None, seconds: float = 120, **more: str
) -> subprocess.CompletedProcess[str]:
    """n ranks of this Python, by the mpirun beside it, which need not be in PATH."""
    return subprocess.run(
        [MPIRUN, "-n", str(n), sys.executable, *arguments],
        cwd=cwd,
        env={**environment(), **more},
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def process(cwd: Path, *arguments: str, program: str = "train") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"glowlite.{program}", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def command(cwd: Path, *arguments: str, program: str = "train") -> subprocess.CompletedProcess[str]:
    """As `process`, but within this one, which has imported everything: that is most of a small
    run's time.
    """
    words = [f"glowlite.{program}", *map(str, arguments)]
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in STREAM_ERRORS)
    with chdir(cwd), as_it_was(), mock.patch.object(sys, "argv", words):
        try:
            with redirect_stdout(stdout), redirect_stderr(stderr):
                runpy.run_module(words[0], run_name="__main__")
            code = 0
        except SystemExit as error:
            code = error.code
    said = []
    for stream in (stdout, stderr):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())
    return subprocess.CompletedProcess(words, code, *said)


STREAM_ERRORS = "strict", "backslashreplace"  # of stdout and stderr


@contextmanager
def as_it_was():
    """What a command does to signals and warnings is undone. What it warns of, it prints, as by
    itself.
    """
    handlers, hook = {number: signal.getsignal(number) for number in SIGNALS}, sys.unraisablehook
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
                warnings.simplefilter("ignore", kind)
            warnings.simplefilter("ignore", ResourceWarning)
            warnings.filterwarnings("ignore", r".*found in sys\.modules", RuntimeWarning)  # runpy's
            warnings.showwarning = lambda *what: sys.stderr.write(
                warnings.formatwarning(*what[:4], what[5] if len(what) > 5 else None)
            )
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


@contextmanager
def nothing_drawn():
    """A run within this process draws nothing: that takes as long as all its steps."""
    nothing = {name: lambda *_, **__: None for name in ("save_pictures", "save_learning_curve")}
    with mock.patch.multiple("glowlite.drawing.observers", **nothing):
        yield


def images(n=40, h=8, w=8, c=3, seed=0):
    """Smooth random images: something to learn in a few steps."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, h)[:, None, None] * rng.random((n, 1, 1, c)) + 0.2 * rng.random(
        (n, h, w, c)
    )
    return (255 * ramp / ramp.max()).astype(np.uint8)


def dataset(n=40, **shape):
    pictures = images(n, **shape)
    return Dataset("ramps", ArrayImages(pictures[8:]), ArrayImages(pictures[:8]), "made here")


def labelled(data, classes=3):
    """The data set, each of whose images has a class that can be seen: by its mean brightness."""
    means = [part[:].mean(axis=(1, 2, 3)) for part in (data.train, data.held_out)]
    bounds = np.quantile(means[0], np.arange(1, classes) / classes)
    train, held_out = (np.searchsorted(bounds, mean) for mean in means)
    return conditioned(replace(data, labels=train, held_out_labels=held_out), "labels")


def small_model(dtype="float32", **options):
    return Glow(
        GlowConfig((8, 8, 3), K=2, L=2, width=16), dtype=dtype, workers=Workers(1), **options
    )
