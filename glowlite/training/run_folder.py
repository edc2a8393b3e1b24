"""The folder of a run: its configuration, metrics, pictures and checkpoints, and how a run is
resumed from it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import glowlite.training.checkpoint as checkpoint
from glowlite.data.dataset import Dataset
from glowlite.errors import DamagedError, GlowliteError
from glowlite.files.storage import (
    CHECKPOINTS,
    checkpoint_name,
    checkpoints_of,
    flush_folder,
    replace_by_link,
    write_text,
)
from glowlite.terminal import warn
from glowlite.training.metrics import Metrics, StepResult, Timing
from glowlite.training.run_files import BEST, METRICS, SAVED, TIMING, read_lines, write_config

if TYPE_CHECKING:
    from glowlite.training.run import Training


class RunFolder:
    """An Observer of the trainer that writes the files of a run. Files: see OURS.

    The newest `keep` checkpoints are kept, and best.safetensors is the one with the lowest held-out
    bits/dim. The metrics of a step are written before its checkpoint.
    """

    def __init__(
        self, path: Path, training: Training, data: Dataset, source: dict[str, Any], keep: int
    ) -> None:
        self.path, self.source, self.keep = path, source, keep
        self.steps_per_epoch = len(data.train) // training.settings.batch
        (path / CHECKPOINTS).mkdir(exist_ok=True)
        flush_folder(path)
        step = training.state.step
        self.history = _rewind(path / METRICS, Metrics, step)
        _rewind(path / TIMING, Timing, step)
        self.metrics: TextIO = open(path / METRICS, "a", 1, "utf-8")  # noqa: SIM115  closed by `close`
        self.timing: TextIO = open(path / TIMING, "a", 1, "utf-8")  # noqa: SIM115
        if step and training.state.best_step == step:  # the run may have ended between the two
            self._name_best(path / CHECKPOINTS / checkpoint_name(step))

    def on_step(self, step: int, result: StepResult | None) -> None:
        pass

    def on_metrics(self, metrics: Metrics, timing: Timing) -> None:
        line = dataclasses.asdict(metrics)
        self.history.append(line)
        self.metrics.write(json.dumps(line) + "\n")
        self.timing.write(json.dumps(dataclasses.asdict(timing)) + "\n")

    def on_checkpoint(self, training: Training) -> None:
        for file in (self.metrics, self.timing):
            os.fsync(file.fileno())
        path = self.path / CHECKPOINTS / checkpoint_name(training.state.step)
        checkpoint.save(training, path, self.steps_per_epoch, run=self.source)
        if training.state.best_step == training.state.step:
            self._name_best(path)
        if not self.source.get(SAVED):
            self.source[SAVED] = True
            write_config(self.path, self.source)
        for old in checkpoints_of(self.path)[: -self.keep]:
            old.unlink()

    def after_step(self, training: Training) -> None:
        pass

    def _name_best(self, path: Path) -> None:
        replace_by_link(path, self.path / BEST)

    def close(self) -> None:
        self.metrics.close()
        self.timing.close()


def _rewind(path: Path, kind: type[Metrics | Timing], step: int) -> list[dict[str, Any]]:
    """Keep the lines of a .jsonl up to `step` and return them. Later lines will be written
    again.
    """
    lines = [line for line in read_lines(path, kind) if line["step"] <= step]
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
    return lines


def restore_newest(training: Training, run: Path) -> Path | None:
    """Restore `training` from the newest intact checkpoint, and return its path; None if there is
    no checkpoint.

    Damaged checkpoints that are newer are reported on stderr and renamed, so that the run can write
    them again. Rank 0 reads and sends the result to the others. Raises GlowliteError, without
    changing anything, if a checkpoint cannot be read or belongs to another model, or if all are
    damaged.
    """
    found = _restore_newest(training, run) if training.ranks.is_root else None
    return checkpoint.tell(training, found)


def _restore_newest(training: Training, run: Path) -> Path | None:
    damaged: list[Path] = []
    for path in reversed(checkpoints_of(run)):
        try:
            checkpoint.restore(training, path)
        except DamagedError as error:
            warn(f"{error}; trying the one before it")
            damaged.append(path)
            continue
        for other in damaged:
            _set_aside(other)
        return path
    if damaged:
        raise GlowliteError(
            f"{run}: every checkpoint is damaged, the last one is {damaged[-1]}; restore a copy,"
            " or begin a new run"
        )
    return None


def _set_aside(path: Path) -> None:
    """Rename a damaged checkpoint to a free name, so that it is not read again."""
    number, place = 1, path.with_name(f"{path.name}.damaged")
    while os.path.lexists(place):
        number, place = number + 1, path.with_name(f"{path.name}.damaged-{number + 1}")
    path.rename(place)
