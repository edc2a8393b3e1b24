"""TensorBoard files, written with tensorboardX, which is imported only if a run asks for it."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glowlite.errors import GlowliteError
from glowlite.training.metrics import Metrics, StepResult, Timing

if TYPE_CHECKING:
    from glowlite.training.run import Training


def writer_class() -> Any:
    """Return tensorboardX's SummaryWriter. Raises GlowliteError if it is not installed."""
    try:
        return importlib.import_module("tensorboardX").SummaryWriter
    except ImportError:
        raise GlowliteError(
            "--tensorboard: tensorboardX is not installed; run pip install '.[tensorboard]'"
        ) from None


class TensorBoard:
    """An Observer of the trainer that writes every number of the metrics and the timing to the
    folder tensorboard/ of the run.
    """

    def __init__(self, run: Path) -> None:
        self.writer = writer_class()(str(run / "tensorboard"))

    def on_step(self, step: int, result: StepResult | None) -> None:
        pass

    def on_metrics(self, metrics: Metrics, timing: Timing) -> None:
        for name, value in {**dataclasses.asdict(metrics), **dataclasses.asdict(timing)}.items():
            if value is not None and name != "step":
                self.writer.add_scalar(name, value, metrics.step)

    def on_checkpoint(self, training: Training) -> None:
        self.writer.flush()

    def after_step(self, training: Training) -> None:
        pass

    def close(self) -> None:
        self.writer.close()
