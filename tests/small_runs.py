"""Small runs, models and images, for the tests of training."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from glowlite import Glow, GlowConfig
from glowlite.data.dataset import Dataset
from glowlite.data.images import ArrayImages
from glowlite.fast.threads import Workers

ROOT = Path(__file__).parent.parent
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


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }


def command(cwd: Path, *arguments: str, program: str = "train") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"glowlite.{program}", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


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


def small_model(dtype="float32", **options):
    return Glow(
        GlowConfig((8, 8, 3), K=2, L=2, width=16), dtype=dtype, workers=Workers(1), **options
    )
