"""The folder of a run: its configuration, metrics, samples, learning curve and weights."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from glowlite.checkpoint import save_model
from glowlite.errors import GlowliteError
from glowlite.figures import save_learning_curve, save_sample_grids
from glowlite.models.glow import Glow
from glowlite.objective import to_pixels
from glowlite.trainer import Metrics, StepResult, sample_images

TEMPERATURES = (0.5, 0.7, 0.9)
SAMPLES = 64  # a temperature
OURS = ("config.json", "metrics.jsonl", "learning-curve.png", "weights.safetensors", "samples-*.png")


class RunFolder:
    """Writes what a run leaves; an Observer of the trainer. Files: see OURS."""

    def __init__(self, path: Path, model: Glow, n_bits: int, config: dict[str, Any]) -> None:
        self.path, self.model, self.n_bits, self.config = path, model, n_bits, config
        self.history: list[dict[str, Any]] = []
        (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        self.metrics: TextIO = open(path / "metrics.jsonl", "w", buffering=1)  # noqa: SIM115  closed by `close`

    def on_step(self, step: int, result: StepResult) -> None:
        pass

    def on_metrics(self, metrics: Metrics) -> None:
        line = dataclasses.asdict(metrics)
        self.history.append(line)
        self.metrics.write(json.dumps(line) + "\n")
        if metrics.held_out_bits_per_dim is not None:
            self.save(metrics.step)

    def save(self, step: int) -> None:
        """Weights, learning curve, and a grid of samples under the number of the step."""
        save_model(self.model, self.path / "weights.safetensors", step=step, n_bits=self.n_bits, run=self.config)
        save_learning_curve(self.path / "learning-curve.png", self.history, self.n_bits)
        grids = {}
        for temperature in TEMPERATURES:
            samples = sample_images(self.model, SAMPLES, temperature, seed=self.model.seed)
            finite = np.isfinite(samples).all(axis=(1, 2, 3))
            lost = "" if finite.all() else f" ({SAMPLES - finite.sum()} of {SAMPLES} not finite, left out)"
            grids[f"T = {temperature}{lost}"] = to_pixels(samples[finite], self.n_bits)
        save_sample_grids(self.path / f"samples-{step:06d}.png", grids)

    def close(self) -> None:
        self.metrics.close()


def make_run_folder(out: str | None, name: str, overwrite: bool) -> Path:
    """The empty folder of a new run: `out`, or the first free one of runs/NAME-1, runs/NAME-2, ...

    A named folder that holds a run already is refused, or, with `overwrite`, emptied of that run's files and no others.
    """
    if out is None:
        taken = [
            int(m[1]) for p in Path("runs").glob(f"{name}-*") if (m := re.fullmatch(rf"{re.escape(name)}-(\d+)", p.name))
        ]
        path = Path("runs") / f"{name}-{max(taken, default=0) + 1}"
    else:
        path = Path(out)
        if path.exists() and not path.is_dir():
            raise GlowliteError(f"--out {path} is a file; name a folder")
        if (path / "config.json").exists():
            if not overwrite:
                raise GlowliteError(
                    f"--out {path} holds a run already; name another folder, or add --overwrite to replace it"
                )
            for pattern in OURS:
                for file in path.glob(pattern):
                    file.unlink()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GlowliteError(f"--out {path}: cannot make the folder: {error.strerror}") from None
    return path
